"""Predictions with intervals for new frames, from a model that the study keeps.

The model of a data set is the folder results/satellite/<data set>/model (see
casestudies.satellite.save). It is applied to images of the same channels on the same grid:

    python -m casestudies.satellite.predict --model results/satellite/simulated/model
        --images new-frames --output predictions.csv
"""

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.files import write_netcdf
from casestudies.satellite.heads import Regression, scaled
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.registry import Encoder
from casestudies.satellite.save import ENCODER, LABELS, MODEL, SavedModel, missing_share
from casestudies.satellite.season import BESIDE, calendar
from casestudies.steps import main, progress
from casestudies.tables import write_table
from casestudies.validation import check_part, read_saved

log = logging.getLogger("casestudies")

MOSTLY = 0.5
"""Share of missing pixels above which a frame is warned about, if no labelled frame had more."""


def read_model(folder: Path) -> tuple[SavedModel, Encoder, dict[str, np.ndarray]]:
    """Read a model: what it is, its encoder, and the labels that its head is fitted to.

    Raises
    ------
    InputError
        If a file is missing, damaged, of a later format or of another model.
    """
    from safetensors.numpy import load_file

    folder = Path(folder)
    path = folder / MODEL
    remedy = "give the folder that the study writes, results/satellite/<data set>/model."
    model = read_saved(path, SavedModel, "satellite", remedy)
    try:
        model.make_setting()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for name in (ENCODER, LABELS):
        check_part(folder / name, model.sha256.get(name), MODEL, remedy)
    return model, _load_encoder(folder / ENCODER), load_file(folder / LABELS)


def _load_encoder(path: Path) -> Encoder:
    from casestudies.satellite.encode import load_encoder

    return load_encoder(path, -1)


@contextmanager
def open_images(path: Path, model: SavedModel) -> Iterator[Images]:
    """Open new frames: an image series of this study, or CF files (time, y, x).

    Raises
    ------
    InputError
        If they are not of the channels, the units or the shape that the model was fitted to.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give new frames.")
    if (path / "zarr.json").is_file() and _is_series(path):
        images = Images(path)
        given = {channel.name: channel.units for channel in images.channels}
        _check(path, model, given, images.shape[2:])
        if [channel.name for channel in images.channels] == [c.name for c in model.channels]:
            yield images
            return
        raise InputError(
            f"{path}: has the channels in the order {', '.join(given)}; the model wants "
            f"{', '.join(channel.name for channel in model.channels)}."
        )
    with tempfile.TemporaryDirectory(prefix="frames-") as folder:
        yield _convert(path, Path(folder) / "images.zarr", model)


def _is_series(path: Path) -> bool:
    content = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    return "channels" in content.get("attributes", {})


def _check(path: Path, model: SavedModel, given: dict[str, str], shape: tuple[int, int]) -> None:
    wanted = {channel.name: channel.units for channel in model.channels}
    if set(given) != set(wanted):
        raise InputError(
            f"{path}: has the channels {', '.join(given)}; the model was fitted to "
            f"{', '.join(wanted)}. Give images of the same channels."
        )
    for name, units in wanted.items():
        if given[name] != units:
            raise InputError(
                f"{path}: channel {name!r} is in {given[name]!r}, the model in {units!r}; convert "
                "it and correct its attribute 'units'."
            )
    if tuple(shape) != tuple(model.shape):
        raise InputError(
            f"{path}: images of {shape[0]} × {shape[1]} pixels; the model was fitted to "
            f"{model.shape[0]} × {model.shape[1]}. Give images on the same grid."
        )


def _convert(path: Path, target: Path, model: SavedModel) -> Images:
    """Write the frames of CF files as an image series."""
    from casestudies.satellite.readers.frames import Series
    from casestudies.satellite.readers.gridded import PATTERNS, read_grid
    from casestudies.satellite.readers.opening import files

    paths = files(path, PATTERNS) if path.is_dir() and path.suffix != ".zarr" else [path]
    names = [channel.name for channel in model.channels]

    def checked() -> Iterator:
        for frame in read_grid(paths, channels=names):
            _check(frame.source, model, frame.units, frame.shape)
            yield frame

    series = Series(checked())
    # Frames pass twice, first to be counted, so that no more than one is in memory.
    for _ in series:
        pass
    if not series.times:
        raise InputError(f"{path}: no frame has a valid pixel.")
    if series.dropped:
        log.warning("warning: %d frames without a valid pixel are left out", series.dropped)
    channels = []
    for channel in model.channels:
        margin = channel.maximum - channel.minimum  # new frames may exceed the old ones
        channels.append(
            Channel(
                channel.name,
                channel.units,
                channel.long_name,
                channel.minimum - margin,
                channel.maximum + margin,
            )
        )
    axes = [(np.arange(size), {"units": "1"}) for size in model.shape]
    with ImageWriter(target, channels, len(series.times), *axes) as writer:
        for frame in progress(Series(checked()), "frames", len(series.times)):
            try:
                writer.append(frame.time, np.stack([frame.values[name] for name in names]))
            except ValueError as error:
                raise InputError(
                    f"{frame.source}: {frame.time}: {error}, twice the range of the images that "
                    "the model was fitted to; check the units."
                ) from error
    return Images(target)


def apply(
    model: SavedModel, encoder: Encoder, fitted: dict[str, np.ndarray], images: Images
) -> pd.DataFrame:
    """Return predictions for every frame.

    Returns
    -------
    Table: time, predicted, lower, upper (the label's unit), missing (share of pixels), distance
    (from the mean of the labelled frames' latents, over that of the farthest of them: above 1 the
    head extrapolates).
    """
    setting = model.make_setting()
    frames = np.arange(images.shape[0])
    latents = encoder.transform(images, frames)[:, : setting.size].astype(float)
    missing = np.concatenate([missing_share(images, batch) for batch in images.batches(frames)])
    columns = [f"z{k}" for k in range(setting.size)]
    train = pd.DataFrame(fitted["latents"], columns=columns)
    train[list(BESIDE)] = fitted["beside"]
    test = pd.concat([pd.DataFrame(latents, columns=columns), calendar(images.times)], axis=1)
    head = Regression((setting,))
    centre = head.predict(train, fitted["labels"], test, [setting], model.seed)[:, 0]
    near, far = scaled(fitted["latents"], latents, "each")
    reach = np.sqrt((near**2).sum(axis=1).max()) or 1.0
    table = pd.DataFrame(
        {
            "time": images.times,
            "predicted": centre,
            "lower": centre - model.half_width,
            "upper": centre + model.half_width,
        }
    )
    if model.log:
        table[["predicted", "lower", "upper"]] = np.exp(table[["predicted", "lower", "upper"]])
    return table.assign(missing=missing, distance=np.sqrt((far**2).sum(axis=1)) / reach)


def predict(*, model: Path, images: Path, output: Path) -> None:
    """Predict the label of new frames, with prediction intervals.

    Parameters
    ----------
    model
        Folder of the fitted model, results/satellite/<data set>/model.
    images
        New frames with the channels, units and grid of the images that the model was fitted to: an
        image series of this study (images.zarr), or a NetCDF or Zarr file, or a folder of such,
        with CF variables (time, y, x).
    output
        Predictions, .csv or .nc: time, predicted, lower, upper, missing (share of pixels) and
        distance (above 1: farther from the labelled frames' mean than any of them).

    Raises
    ------
    InputError
        If a file cannot be used, or is not of the kind that the model was fitted to.
    """
    if output.suffix not in (".csv", ".nc"):
        raise InputError(f"{output}: predictions are written as .csv or .nc; name it so.")
    saved, encoder, fitted = read_model(model)
    log.info(
        "%s, %s on %d latents, fitted to %d labels; %s, out-of-fold RMSE %.3g%s",
        saved.encoder,
        saved.head.replace("_", " "),
        saved.setting["size"],
        saved.labels,
        saved.long_name,
        saved.rmse,
        " (natural logarithm)" if saved.log else f" {saved.units}",
    )
    with open_images(images, saved) as series:
        table = apply(saved, encoder, fitted, series)
    gaps = int((table["missing"] > max(MOSTLY, saved.missing)).sum())
    if gaps:
        log.warning(
            "warning: %d of %d frames are mostly missing; their predictions rest on little",
            gaps,
            len(table),
        )
    outside = int((table["distance"] > 1).sum())
    if outside:
        log.warning(
            "warning: %d of %d frames lie farther from the mean of the labelled frames than any of "
            "these; their predictions extrapolate, and intervals may be too narrow",
            outside,
            len(table),
        )
    if output.suffix == ".csv":
        write_table(table, output)
    else:
        _write_netcdf(table, saved, output)


def _write_netcdf(table: pd.DataFrame, model: SavedModel, output: Path) -> None:
    import xarray as xr

    dataset = xr.Dataset.from_dataframe(table.set_index("time"))
    dataset["time"].attrs["standard_name"] = "time"
    bounds = {
        "lower": "lower bound of the interval of ",
        "upper": "upper bound of the interval of ",
    }
    for name in ("predicted", "lower", "upper"):
        what = bounds.get(name, "") + model.long_name
        dataset[name].attrs.update({"long_name": what, "units": model.units})
    dataset["missing"].attrs.update({"long_name": "share of missing pixels", "units": "1"})
    what = "distance from the labelled frames' mean, over that of the farthest of them"
    dataset["distance"].attrs.update({"long_name": what, "units": "1"})
    dataset.attrs.update({"Conventions": "CF-1.11", "interval_coverage": model.coverage})
    write_netcdf(dataset, output)


if __name__ == "__main__":
    main(predict)
