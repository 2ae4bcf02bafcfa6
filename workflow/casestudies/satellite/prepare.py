"""Prepare a satellite data set: raw files to one image series and a table of labels.

``images.zarr`` (see :mod:`casestudies.satellite.images`) holds every frame with a valid pixel,
labelled or not, in its own units; what was not observed is missing. ``prepared.parquet`` has a row
per label, ascending in time: ``sample``, ``time`` of the frame, ``day`` (since the first frame),
``period`` (fortnight, the independent unit of scores), ``year``, ``frame`` (position in
images.zarr), ``season_sin``, ``season_cos``, ``hour_sin``, ``hour_cos``, the true ``state_*`` where
they are known, and ``label``. A label belongs to the frame nearest in time, if that is near enough;
of several labels of one frame the nearest is kept, so that no frame stands on both sides of a
split. What is left out is counted, in the log and the metadata.

Data of one's own (kind ``local``)
----------------------------------
A folder with ``images/`` and ``soundings/``. Files are read in the order of their names, which must
be the order of time; all frames need one grid. ``--options`` is JSON:

========================= ==========================================================================
``images.reader``         goes, tropomi, seviri, grid (CF NetCDF or Zarr: time, y, x) or toms
``images.…``              options of that reader, such as ``channels``, ``units`` (channel: true
                          units, where a file's attribute is mistaken), goes: ``quality``,
                          ``window``; tropomi: ``qa``, ``region``, ``step``; see
                          :mod:`casestudies.satellite.readers`
``soundings.reader``      woudc or shadoz: one file a balloon; ames: EBAS series of a station;
                          table: ``labels.csv`` with columns time (ISO 8601, UTC) and value
``soundings.layer``       woudc, shadoz: [bottom, top] in hPa, whose partial column is the label, or
                          "total", the whole column (DU)
``soundings.component``   ames: such as "ozone"; with ``units`` such as "nmol mol-1"
``soundings.daily``       ames: true for the means of days with at least 12 valid hours
``soundings.long_name``   table: what the values are; with ``units``, ``latitude``, ``longitude``
``tolerance``             largest distance in time between label and frame (h); 1 if not given
``log``                   true to predict the natural logarithm of the label
``pixel``                 [row, column] of the station, where the images' coordinates do not tell
========================= ==========================================================================

Data sets of the project
------------------------
``simulated``: the folder written by :mod:`casestudies.satellite.simulate`; labels are logarithms.
``melbourne-total-ozone``, ``melbourne-upper-tropospheric-ozone``: maps of total ozone, soundings.
``edmonton-air-temperature``, ``boulder-air-temperature``: fields of temperature in which the 7 × 7
pixels about the city are missing; its own value at 18 UTC every seventh day is the label, so that
reanalysis plays both satellite and balloon. ``mauna-loa-ozone``: fields of temperature and daily
means of ozone on the mountain.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from casestudies.config.satellite import PAIRS, Balloons, Options, Station
from casestudies.datasets import find, verify
from casestudies.errors import InputError, nearest
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.readers import IMAGE_READERS, SOUNDING_READERS, ames
from casestudies.satellite.readers.frames import Axis, Frame, Series, gaps, pixel
from casestudies.satellite.readers.labels import (
    Labels,
    Layer,
    balloon_labels,
    station_labels,
    table_labels,
)
from casestudies.satellite.readers.opening import files
from casestudies.satellite.readers.soundings import Sounding
from casestudies.satellite.season import calendar
from casestudies.steps import main, progress
from casestudies.tables import read_table, write_table

PERIOD = np.timedelta64(14, "D")
"""Longer than what soundings of neighbouring days have in common."""
log = logging.getLogger("casestudies")

UPPER_TROPOSPHERE = (500.0, 200.0)
CITIES = {
    "edmonton-air-temperature": ("Edmonton", 53.55, -113.49),
    "boulder-air-temperature": ("Boulder", 40.01, -105.27),
}
WITHHELD = 3
"""Pixels on each side of a city that are withheld: 7 × 7 in all."""


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a series are."""

    y: Axis
    x: Axis
    view: dict[str, Any] = field(default_factory=dict)


# --------------------------------------------------------------------------------------- images


def write_images(
    read: Callable[[], Iterable[Frame]],
    path: Path,
    withheld: tuple[slice, slice] | None = None,
) -> dict[str, int]:
    """Write an image series; one pass finds the channels' ranges, a second writes.

    Parameters
    ----------
    read
        Returns the frames, each time it is called.
    withheld
        Rows and columns that are written as missing.

    Returns
    -------
    dict
        Counts: frames, dropped (without a valid pixel), missing (steps of time).

    Raises
    ------
    InputError
        If the frames are no series (see :class:`~casestudies.satellite.readers.frames.Series`), or
        no frame, or no pixel of a channel, is valid.
    """

    def shown() -> Series:
        return Series(_withhold(frame, withheld) for frame in read())

    series, first = shown(), None
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for frame in progress(series, "ranges"):
        first = first or frame
        for name, values in frame.values.items():
            known = values[np.isfinite(values)]
            if known.size:
                low[name] = min(low.get(name, np.inf), float(known.min()))
                high[name] = max(high.get(name, -np.inf), float(known.max()))
    if first is None:
        what = f"none of {series.dropped} frames has" if series.dropped else "no frame has"
        raise InputError(
            f"images: {what} a valid pixel; check the reader's options, such as the quality asked "
            "for, the region and the channels."
        )
    if empty := [name for name in first.values if name not in low]:
        raise InputError(
            f"images: channel {empty[0]!r} has no valid pixel in any frame; leave it out by the "
            "option 'channels'."
        )
    times = np.array(series.times)
    counts = {"frames": len(times), "dropped": series.dropped, "missing": 0}
    if series.dropped:
        log.warning("%d frames have no valid pixel and are left out", series.dropped)
    if len(times) > 2:
        step, counts["missing"], longest = gaps(times)
        if counts["missing"]:
            log.warning(
                "%d steps of %s are missing between frames, at most %s in a row",
                counts["missing"],
                pd.Timedelta(step),
                pd.Timedelta(longest),
            )
    channels = [
        Channel(name, first.units[name], first.names[name], low[name], high[name])
        for name in first.values
    ]
    y, x = ((axis.values, dict(axis.attributes)) for axis in (first.y, first.x))
    with ImageWriter(path, channels, len(times), y, x, {"view": first.view}) as writer:
        for frame in progress(shown(), "frames", len(times)):
            writer.append(frame.time, np.stack([frame.values[c.name] for c in channels]))
    return counts


def _withhold(frame: Frame, region: tuple[slice, slice] | None) -> Frame:
    if region is not None:
        for values in frame.values.values():
            values[region] = np.nan
    return frame


def copy_images(source: Path, path: Path) -> None:
    """Copy a store that is an image series already; it appears under its name once it is whole.

    Its files are linked where the disk allows: a year of large images is hundreds of gigabytes, and
    neither store is ever changed, only replaced.
    """
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # The time stamp that Snakemake keeps in a folder is the folder's own.
        own = shutil.ignore_patterns(".snakemake_timestamp")
        shutil.copytree(source, part, ignore=own, copy_function=_link)
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


# --------------------------------------------------------------------------------------- labels


def match(
    frames: np.ndarray, times: np.ndarray, tolerance: np.timedelta64
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Give each label the nearest frame, and each frame the nearest label.

    Parameters
    ----------
    frames
        Times of the frames, ascending, shape (m,).
    times
        Times of the labels, shape (n,).
    tolerance
        Largest distance.

    Returns
    -------
    tuple
        Positions of the labels kept, ascending in time; their frames, unique; and counts: outside
        (no frame near enough) and superseded (another label is nearer to the same frame).
    """
    after = np.searchsorted(frames, times).clip(1, max(len(frames) - 1, 1))
    before = after - 1
    after = after.clip(max=len(frames) - 1)
    nearer = np.abs(frames[after] - times) < np.abs(frames[before] - times)
    frame = np.where(nearer, after, before)
    distance = np.abs(frames[frame] - times)
    inside = np.flatnonzero(distance <= tolerance)
    order = inside[np.lexsort((inside, distance[inside], frame[inside]))]
    _, start = np.unique(frame[order], return_index=True)
    kept = order[start]
    counts = {"outside": len(times) - len(inside), "superseded": len(inside) - len(kept)}
    return kept, frame[kept], counts


def assemble(
    times: np.ndarray,
    labels: Labels,
    tolerance: float,
    logarithm: bool = False,
    states: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the prepared table and counts of soundings.

    Parameters
    ----------
    times
        Of the frames, ascending.
    tolerance
        Hours.
    logarithm
        Whether the label is the natural logarithm of the value.
    states
        Columns time and state_*, a row per frame.

    Raises
    ------
    InputError
        If no label has a frame, or the logarithm of a value does not exist.
    """
    usable = np.isfinite(labels.values)
    at, values = labels.times[usable], labels.values[usable]
    limit = np.timedelta64(round(3600 * tolerance), "s")
    kept, frame, counts = match(times, at, limit)
    counts = {"soundings": len(usable), "unusable": int((~usable).sum()), **counts}
    if len(kept) == 0:
        raise InputError(
            f"soundings: none of {len(at)}, {at.min()} to {at.max()}, is within {tolerance:g} h of "
            f"an image, {times[0]} to {times[-1]}; are they of the same time and in UTC?"
        )
    values = values[kept]
    if logarithm:
        if (values <= 0).any():
            raise InputError(
                f"soundings: the label of {at[kept][values <= 0][0]} is {values.min():g}; its "
                "logarithm does not exist: take option 'log' away."
            )
        values = np.log(values)
    moments = pd.DatetimeIndex(times[frame])
    table = pd.DataFrame(
        {
            "sample": moments.strftime("%Y%m%dT%H%M%S"),
            "time": moments,
            "day": (times[frame] - times[0]) / np.timedelta64(1, "D"),
            "period": ((times[frame] - times[0]) // PERIOD).astype(np.int64),
            "year": moments.year.to_numpy(),
            "frame": frame,
        }
    )
    table = pd.concat([table, calendar(times[frame])], axis=1)
    if states is not None:
        names = [name for name in states if name.startswith("state_")]
        table[names] = states[names].to_numpy()[frame]
    table["label"] = values
    log.info(
        "%d labels; of %d soundings %d give no value, %d have no image within %g h, %d share an "
        "image with a nearer one",
        len(table),
        *(counts[key] for key in ("soundings", "unusable", "outside")),
        tolerance,
        counts["superseded"],
    )
    return table, counts


# ---------------------------------------------------------------------------------------- kinds


@dataclass(frozen=True)
class _Recipe:
    """What a kind of data set amounts to, once its files are known."""

    labels: Labels
    tolerance: float
    read: Callable[[], Iterable[Frame]] | None = None  # none: the store is copied as it is
    copy: Path | None = None
    city: bool = False  # withhold the surroundings of the station
    logarithm: bool = False
    pixel: tuple[int, int] | None = None
    states: pd.DataFrame | None = None


def _grid(recipe: _Recipe) -> Grid:
    if recipe.read is None:
        images = Images(recipe.copy)  # of the simulator, which writes degrees
        return Grid(
            Axis(images.y, {"units": "degrees_north"}), Axis(images.x, {"units": "degrees_east"})
        )
    first = next(iter(recipe.read()))
    return Grid(first.y, first.x, first.view)


def _simulated(raw: Path) -> _Recipe:
    try:
        label = json.loads((raw / "parameters.json").read_text(encoding="utf-8"))["label"]
        layer = (float(label["layer"]["bottom"]), float(label["layer"]["top"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{raw / 'parameters.json'}: gives no layer for the label ({error}); simulate again."
        ) from error
    states = read_table(raw / "states.csv", complete=["time"])
    images = raw / "images.zarr"
    if not np.array_equal(
        pd.to_datetime(states["time"]).to_numpy().astype("datetime64[s]"), Images(images).times
    ):
        raise InputError(f"{raw / 'states.csv'}: its times are not those of images.zarr.")
    soundings = _soundings(raw / "soundings", "woudc")
    labels = balloon_labels(soundings, layer)
    return _Recipe(labels, 0.5, copy=images, logarithm=True, states=states)


def _soundings(folder: Path, reader: str) -> Iterable[Sounding]:
    read, patterns = SOUNDING_READERS[reader]
    paths = files(folder, patterns)
    return progress((read(path) for path in paths), "soundings", len(paths))


def _published(kind: str, raw: list[Path]) -> _Recipe:
    names = PAIRS[kind]
    if len(raw) != len(names):
        raise InputError(f"--raw: {kind} needs the folders of {', '.join(names)}, in this order.")
    paths = []
    for name, folder in zip(names, raw, strict=True):
        _exists(folder)
        dataset = find(name)
        verify(dataset, folder, [file.path for file in dataset.files])
        paths.append([folder / file.path for file in dataset.files])
    if kind.startswith("melbourne"):
        read = SOUNDING_READERS["woudc"][0]
        layer: Layer = "total" if kind == "melbourne-total-ozone" else UPPER_TROPOSPHERE
        soundings = [read(path) for path in progress(paths[1], "soundings")]
        return _Recipe(
            balloon_labels(soundings, layer),
            tolerance=4 * 24,
            read=lambda: IMAGE_READERS["toms"][0](paths[0]),
        )

    def fields() -> Iterable[Frame]:
        return IMAGE_READERS["grid"][0]([raw[0] / "air_temperature.zarr"])

    if kind == "mauna-loa-ozone":
        labels = station_labels(paths[1], "ozone", "nmol mol-1", daily=True)
        return _Recipe(labels, tolerance=3, read=fields)
    city, latitude, longitude = CITIES[kind]
    return _Recipe(_withheld_labels(fields(), city, latitude, longitude), 1, read=fields, city=True)


def _withheld_labels(
    frames: Iterable[Frame], city: str, latitude: float, longitude: float
) -> Labels:
    """Return the value of a city's pixel at 18 UTC every seventh day."""
    times, values = [], []
    start: np.datetime64 | None = None
    for frame in frames:
        day = frame.time.astype("datetime64[D]")
        start = day if start is None else start
        if frame.time == day + np.timedelta64(18, "h") and (day - start).astype(int) % 7 == 0:
            row, column = pixel(frame.y, frame.x, frame.view, latitude, longitude)
            times.append(frame.time)
            values.append(frame.values["air"][row, column])
    long_name = f"air temperature at {city}, 0.995 sigma level"
    found = np.array(values, dtype=float)
    return Labels(np.array(times), found, latitude, longitude, long_name, "K")


def _local(raw: Path, options: str) -> _Recipe:
    try:
        chosen = Options.model_validate_json(options)
    except ValidationError as error:
        raise InputError(f"--options: {_first(error)}; see the module prepare.") from error
    read, patterns = IMAGE_READERS[chosen.images.reader]
    paths = _stores(files(raw / "images", patterns))
    given = chosen.images.model_dump(exclude={"reader"}, exclude_unset=True)
    wanted = chosen.soundings
    folder = raw / "soundings"
    if isinstance(wanted, Balloons):
        labels = balloon_labels(_soundings(folder, wanted.reader), wanted.layer)
    elif isinstance(wanted, Station):
        found = files(folder, ames.PATTERNS)
        labels = station_labels(found, wanted.component, wanted.units, wanted.daily)
    else:
        labels = table_labels(folder / "labels.csv", **wanted.model_dump(exclude={"reader"}))
    return _Recipe(
        labels,
        chosen.tolerance,
        read=lambda: read(paths, **given),
        logarithm=chosen.log,
        pixel=chosen.pixel,
    )


def _stores(paths: list[Path]) -> list[Path]:
    """Leave out what lies inside a Zarr store."""
    stores = {path for path in paths if path.suffix == ".zarr"}
    return [path for path in paths if not stores.intersection(path.parents)]


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    where = ".".join(str(part) for part in one["loc"])
    return f"{where}: {one['msg']}" if where else str(one["msg"])


def _exists(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --raw names the folder of a raw data set.")


def prepare(*, kind: str, raw: list[Path], options: str = "{}", images: Path, output: Path) -> None:
    """Read raw images and soundings, check them, and write the image series and the labels.

    Parameters
    ----------
    kind
        simulated, local, or the name of a published pair (see the module).
    raw
        Folder of the raw data; of a published pair the folders of its data sets, images first.
    options
        Of kind local, as JSON.
    images
        Zarr store to write.
    output
        Parquet file to write. Its metadata: long_name and units of the label, log (whether it is
        the natural logarithm of that), states (names), neighbourhood (row and column of the
        station's pixel), station, frames and soundings (counts of what was used and
        what not), images (digest).
    """
    for folder in raw:
        _exists(folder)
    kinds = ("simulated", "local", *PAIRS)
    if kind not in kinds:
        raise InputError(f"--kind {kind}: {nearest(kind, kinds)}")
    if kind in PAIRS:
        recipe = _published(kind, raw)
    elif len(raw) != 1:
        raise InputError(f"--raw: {kind} needs one folder.")
    else:
        recipe = _simulated(raw[0]) if kind == "simulated" else _local(raw[0], options)
    labels = recipe.labels
    place = (labels.latitude, labels.longitude)
    grid = _grid(recipe)
    station = recipe.pixel or pixel(grid.y, grid.x, grid.view, *place)
    if not (0 <= station[0] < len(grid.y.values) and 0 <= station[1] < len(grid.x.values)):
        raise InputError(
            f"option 'pixel': {list(station)} is not in images of {len(grid.y.values)} × "
            f"{len(grid.x.values)} pixels."
        )
    if recipe.read is None:
        copy_images(recipe.copy, images)
        frames = {"frames": Images(images).shape[0], "dropped": 0, "missing": 0}
    else:
        around = tuple(slice(k - WITHHELD, k + WITHHELD + 1) for k in station)
        frames = write_images(recipe.read, images, around if recipe.city else None)
    series = Images(images)
    try:
        table, soundings = assemble(
            series.times, labels, recipe.tolerance, recipe.logarithm, recipe.states
        )
    except InputError:
        shutil.rmtree(images)  # a series without labels is no data set
        raise
    about = {
        "long_name": labels.long_name,
        "units": labels.units,
        "log": recipe.logarithm,
        "states": [name for name in table if name.startswith("state_")],
        "neighbourhood": list(station),
        "station": {"latitude": place[0], "longitude": place[1]},
        "frames": frames,
        "soundings": soundings,
        "images": series.attributes.get("digest"),
    }
    write_table(table, output, about)
    log.info("%s: %d frames of %d × %d pixels", images, frames["frames"], *series.shape[2:])


if __name__ == "__main__":
    main(prepare)
