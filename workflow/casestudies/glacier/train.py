"""Train one network under one cross-validation scheme."""

from pathlib import Path

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.splits import read_folds
from casestudies.glacier.networks import Run, fit_network, parse_settings
from casestudies.steps import main
from casestudies.tables import read_table, write_table
from casestudies.training.checkpoint import remove_checkpoints
from casestudies.training.device import describe
from casestudies.training.device import device as find_device
from casestudies.training.energy import measured
from casestudies.training.parallel import one_thread


def train(
    *,
    prepared: Path,
    splits: Path,
    model: str,
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
    """Train a network on every fold of a scheme, its settings chosen by the inner folds.

    Parameters
    ----------
    prepared
        Prepared table, one row per glacier and year.
    splits
        Outer and inner folds of the scheme.
    model
        paper_network, paper_protocol or deep_ensemble (casestudies.glacier.networks).
    settings
        Settings that differ from the model's defaults, as JSON.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the training.
    threads
        CPU threads.
    device
        auto, cpu or cuda.
    country
        ISO 3166 code of the country whose electricity mix turns energy into CO2e.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    output
        Out-of-fold predictions with intervals (m w.e.) and the members' spread.
    inner
        Predictions of the inner folds.
    choices
        Inner error of every setting in every fold, and the number of steps chosen.
    curves
        Error along the training, by setting: training, inner and held-out rows (RMSE, m w.e.).
    """
    chosen = parse_settings(model, settings)
    where = find_device(device)
    one_thread()
    with measured(country) as energy:
        samples = read_table(prepared, columns=["mass_balance"], complete=["sample", *units])
        folds = read_folds(splits, samples)
        run = Run(where, threads, checkpoint, checkpoint_every, label=model)
        result = fit_network(model, samples, folds, chosen, seed, run)
    names = samples["sample"].to_numpy()
    predictions, held_in = (
        table.assign(sample=names[table["position"]]).drop(columns="position")
        for table in (result.predictions, result.inner)
    )
    # Without inner predictions (paper_protocol) there is nothing honest to calibrate on: no bounds.
    predictions = add_intervals(predictions, held_in, samples.set_index("sample")[units], coverage)
    steps = result.choices.loc[result.choices["chosen"], "steps"]
    metadata = {
        "model": model,
        "settings": chosen.model_dump(mode="json"),
        "seed": seed,
        "threads": threads,
        "steps_chosen": {"min": int(steps.min()), "max": int(steps.max())},
        **describe(where),
        **energy.as_dict(),
    }
    write_table(held_in, inner, {"model": model})
    write_table(result.choices, choices, {"model": model})
    write_table(result.curves, curves, {"model": model})
    write_table(predictions, output, metadata)
    remove_checkpoints(checkpoint)


if __name__ == "__main__":
    main(train)
