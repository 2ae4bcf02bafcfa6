"""Train the end-to-end network under one cross-validation scheme."""

from pathlib import Path

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.splits import read_folds
from casestudies.satellite.images import Images
from casestudies.satellite.season import BESIDE
from casestudies.satellite.supervised import cross_validate_cnn, parse_settings
from casestudies.steps import main
from casestudies.tables import read_table, write_table
from casestudies.training.checkpoint import remove_checkpoints
from casestudies.training.device import describe
from casestudies.training.device import device as find_device
from casestudies.training.energy import measured


def train(
    *,
    images: Path,
    prepared: Path,
    splits: Path,
    settings: str = "{}",
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    threads: int = 1,
    device: str = "auto",
    country: str = "FRA",
    checkpoint: Path,
    checkpoint_every: float = 60.0,
    output: Path,
    inner: Path,
    choices: Path,
    curves: Path,
) -> None:
    """Train the network on every fold of a scheme, its number of steps chosen by the inner folds.

    Parameters
    ----------
    images
        The image series (Zarr).
    prepared
        Prepared table, one row per label.
    splits
        Outer and inner folds of the scheme.
    settings
        Settings that differ from the defaults (casestudies.satellite.supervised), as JSON.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the training.
    threads
        CPU threads: networks that are trained side by side.
    device
        auto, cpu or cuda.
    country
        ISO 3166 code of the country whose electricity mix turns energy into CO2e.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    output
        Out-of-fold predictions with intervals, in the label's units.
    inner
        Predictions of the inner folds.
    choices
        Inner error of every number of steps in every fold.
    curves
        Error along the training: training, inner and held-out samples (RMSE, label's units).
    """
    chosen = parse_settings(settings)
    where = find_device(device)
    with measured(country) as energy:
        samples = read_table(
            prepared, columns=["label"], complete=["sample", "frame", *BESIDE, *units]
        )
        folds = read_folds(splits, samples)
        result = cross_validate_cnn(
            Images(images),
            samples,
            folds,
            chosen,
            seed,
            where,
            threads,
            checkpoint,
            checkpoint_every,
        )
    names = samples["sample"].to_numpy()
    predictions, held_in = (
        table.assign(sample=names[table["position"]]).drop(columns="position")
        for table in (result.predictions, result.inner)
    )
    predictions = add_intervals(predictions, held_in, samples.set_index("sample")[units], coverage)
    steps = result.choices.loc[result.choices["chosen"], "steps"]
    metadata = {
        "model": "cnn",
        "settings": chosen.model_dump(mode="json"),
        "seed": seed,
        "threads": threads,
        "steps_chosen": {"min": int(steps.min()), "max": int(steps.max())},
        **describe(where),
        **energy.as_dict(),
    }
    write_table(held_in, inner, {"model": "cnn"})
    write_table(result.choices, choices, {"model": "cnn"})
    write_table(result.curves, curves, {"model": "cnn"})
    write_table(predictions, output, metadata)
    remove_checkpoints(checkpoint)


if __name__ == "__main__":
    main(train)
