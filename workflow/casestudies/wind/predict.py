"""Near-surface wind over an elevation model of any size, by a surrogate that the study keeps.

    python -m casestudies.wind.predict --model results/wind/simulated/model --dem hills.tif
        --speed 8 --direction 240 --output wind.tif

The elevation model is turned into the wind and cut into overlapping windows, each as large as the
terrains that the surrogate was trained on and blended to flat ground around its interior as these
were. Their interiors are joined with weights that fall off smoothly, turned back, and sampled at
the pixels of the elevation model. Around its edge and around gaps there is no prediction.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy.ndimage import map_coordinates

from casestudies.errors import InputError
from casestudies.files import write_netcdf, writing
from casestudies.steps import main, progress
from casestudies.training.device import set_threads
from casestudies.wind.save import FittedSurrogate, read_surrogate
from casestudies.wind.terrain import blend, guard
from casestudies.wind.tile import ElevationModel, downwind, open_model

log = logging.getLogger("casestudies")

LAYERS = {  # name: (long name, unit)
    "speed": ("horizontal wind speed", "m s-1"),
    "direction": ("direction that the wind comes from, clockwise from grid north", "degree"),
    "u": ("eastward wind, along the grid", "m s-1"),
    "v": ("northward wind, along the grid", "m s-1"),
    "w": ("upward wind", "m s-1"),
    "spread": ("standard deviation of the speed between networks", "m s-1"),
}
_WINDOWS = 16  # predicted at once: bounds memory
_ROWS = 256  # of the elevation model, written at once


@dataclass(frozen=True)
class Frame:
    """A grid turned into the wind that covers an elevation model.

    Parameters
    ----------
    centre
        In the projection of the model (m).
    direction
        That the wind comes from (degrees clockwise from grid north).
    shape
        Cells along y and x.
    spacing
        Size of a cell (m).
    """

    centre: tuple[float, float]
    direction: float
    shape: tuple[int, int]
    spacing: float

    @classmethod
    def around(cls, model: ElevationModel, direction: float, spacing: float) -> "Frame":
        """Return the frame of an elevation model."""
        height, width = model.source.height, model.source.width
        # Halves of pixels: outside the middles of the outermost there is nothing to interpolate.
        columns = np.array([0.5, width - 0.5, 0.5, width - 0.5])
        rows = np.array([0.5, 0.5, height - 0.5, height - 0.5])
        x, y = model.place(columns, rows)
        axes = np.stack(downwind(direction))
        along, left = axes @ np.stack([x, y])
        middle = axes.T @ [(along.min() + along.max()) / 2, (left.min() + left.max()) / 2]
        shape = tuple(int(np.ptp(side) / spacing + 1e-6) for side in (left, along))
        return cls((float(middle[0]), float(middle[1])), direction, shape, spacing)

    def middle(self, row: float, column: float) -> tuple[float, float]:
        """Return where a corner of cells lies in the projection of the model (m)."""
        along, left = downwind(self.direction)
        x = (column - self.shape[1] / 2) * self.spacing
        y = (row - self.shape[0] / 2) * self.spacing
        found = np.array(self.centre) + x * along + y * left
        return float(found[0]), float(found[1])

    def cell(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return rows and columns of places (m), whole at the centres of cells: (2, …)."""
        along, left = downwind(self.direction)
        x, y = x - self.centre[0], y - self.centre[1]
        return np.stack(
            [
                (x * left[0] + y * left[1]) / self.spacing + self.shape[0] / 2 - 0.5,
                (x * along[0] + y * along[1]) / self.spacing + self.shape[1] / 2 - 0.5,
            ]
        )


class Mosaic:
    """Fields of overlapping windows, joined by weights that fall to nought at their edges.

    Parameters
    ----------
    layers
        Number of fields.
    shape
        Cells of the whole.
    window
        Cells of a window.
    """

    def __init__(self, layers: int, shape: tuple[int, int], window: tuple[int, int]) -> None:
        self.total = np.zeros((layers, *shape), np.float32)
        self.weights = np.zeros(shape, np.float32)
        rise = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in window]
        self.weight = np.outer(*rise).astype(np.float32)

    def add(self, row: int, column: int, fields: np.ndarray) -> None:
        """Add a window, (layers, …), whose first cell is at a row and a column of the whole."""
        place = (slice(row, row + fields.shape[1]), slice(column, column + fields.shape[2]))
        self.total[:, *place] += self.weight * fields
        self.weights[place] += self.weight

    def mean(self) -> np.ndarray:
        """Return the joined fields, (layers, …), NaN where no window is; call it once."""
        with np.errstate(invalid="ignore"):
            self.total /= self.weights
        return self.total


def starts(cells: int, window: int, step: int) -> list[int]:
    """Return where windows start along a side, so that they overlap and the last ends with it."""
    last = cells - window
    return [*range(0, last, step), last] if last >= 0 else []


@dataclass
class _Seen:
    """What the windows were like, for warnings."""

    windows: int = 0
    gaps: int = 0
    failed: int = 0
    slope: float = 0.0
    relief: float = 0.0
    roughness: tuple[float, float] = (np.inf, 0.0)
    beyond: int = 0


def relative_flow(
    surrogate: FittedSurrogate,
    model: ElevationModel,
    frame: Frame,
    roughness: "float | ElevationModel",
    level: int,
) -> tuple[np.ndarray, _Seen]:
    """Return u, v, w along the frame and their spread, relative to the inflow, (4, ny, nx).

    Parameters
    ----------
    roughness
        In metres, or a map of it; of each window the geometric mean is used.
    level
        Number of the height.
    """
    grid, about = surrogate.grid, surrogate.about
    (top, bottom), (first, last) = grid.interior
    mosaic = Mosaic(4, frame.shape, (bottom - top, last - first))
    seen = _Seen()
    rows = starts(frame.shape[0], grid.shape[0], max(1, (bottom - top) // 2))
    columns = starts(frame.shape[1], grid.shape[1], max(1, (last - first) // 2))
    waiting: list[tuple[int, int, np.ndarray, float]] = []

    def flush() -> None:
        land = blend(np.stack([one[2] for one in waiting]), grid.fringe)
        rough = np.array([one[3] for one in waiting])
        flow, spread = surrogate.predict(land, rough)
        slope, relief, _ = guard(land, grid.spacing, np.inf, np.inf)
        low, high = about.roughness
        beyond = (slope > about.slope_p95) | (relief > about.relief)
        # A map's means and a constant are rounded differently.
        beyond |= (rough < low * (1 - 1e-6)) | (rough > high * (1 + 1e-6))
        seen.beyond += int(beyond.sum())
        seen.slope, seen.relief = max(seen.slope, slope.max()), max(seen.relief, relief.max())
        seen.roughness = (
            min(seen.roughness[0], rough.min()),
            max(seen.roughness[1], rough.max()),
        )
        for (row, column, _, _), own, wide in zip(waiting, flow, spread, strict=True):
            fields = np.concatenate([own[:, level], wide[None, level]])
            if np.isfinite(fields).all():
                mosaic.add(row + top, column + first, fields)
            else:
                seen.failed += 1
        seen.windows += len(waiting)
        waiting.clear()

    for row in progress(rows, "rows of windows"):
        strip = (grid.shape[0], frame.shape[1])
        x, y = frame.middle(row + grid.shape[0] / 2, frame.shape[1] / 2)
        land = model.cut(x, y, frame.direction, strip, grid.spacing)
        rough = None
        if isinstance(roughness, ElevationModel):
            rough = roughness.cut(x, y, frame.direction, strip, grid.spacing)
            rough = np.log(np.where(rough > 0, rough, np.nan))
        for column in columns:
            part = np.s_[:, column : column + grid.shape[1] + 1]
            z0 = roughness if rough is None else float(np.exp(rough[part].mean()))
            if not (np.isfinite(land[part]).all() and np.isfinite(z0)):
                seen.gaps += 1
                continue
            waiting.append((row, column, land[part], z0))
            if len(waiting) == _WINDOWS:
                flush()
    if waiting:
        flush()
    return mosaic.mean(), seen


def pixels(
    model: ElevationModel, frame: Frame, flow: np.ndarray, speed: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row of a block of pixels, and LAYERS there, (layers, rows, columns)."""
    along, left = downwind(frame.direction)
    without = 0
    for start in range(0, model.source.height, _ROWS):
        rows = np.arange(start, min(start + _ROWS, model.source.height)) + 0.5
        column, row = np.meshgrid(np.arange(model.source.width) + 0.5, rows)
        where = frame.cell(*model.place(column, row))
        u, v, w, spread = (
            speed * map_coordinates(one, where, order=1, mode="constant", cval=np.nan)
            for one in flow
        )
        east, north = u * along[0] + v * left[0], u * along[1] + v * left[1]
        direction = np.degrees(np.arctan2(-east, -north)) % 360
        layers = [np.hypot(east, north), direction, east, north, w, spread]
        without += int(np.isnan(u).sum())
        yield start, np.stack(layers).astype(np.float32)
    share = without / (model.source.height * model.source.width)
    log.info(
        "no wind at %.0f %% of the pixels: around the edge and around gaps of the elevation model",
        100 * share,
    )


def predict(
    *,
    model: Path,
    dem: Path,
    speed: float,
    direction: float,
    roughness: str = "0.05",
    height: float | None = None,
    output: Path,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Predict the near-surface wind over an elevation model.

    Parameters
    ----------
    model
        Folder of the surrogate, results/wind/<data set>/model.
    dem
        Elevation model (GeoTIFF, m), in any projection or in degrees.
    speed
        Of the inflow, 10 m above flat ground (m/s).
    direction
        That the inflow comes from, degrees clockwise from north of the grid (in degrees of latitude
        and longitude: of that of the UTM zone). 270 blows to the east.
    roughness
        Roughness length (m), or a GeoTIFF of it.
    height
        Above ground (m), among those of the surrogate; by default its first.
    output
        GeoTIFF (.tif) or NetCDF (.nc) on the pixels of the elevation model: speed, direction, u
        (eastward), v (northward), w and spread.
    device
        auto, cpu or cuda.
    threads
        CPU threads.

    Raises
    ------
    InputError
        If a file or a number cannot be used; nothing is written then.
    """
    _check(speed, direction, output)
    set_threads(threads)
    surrogate = read_surrogate(model, device)
    about, grid = surrogate.about, surrogate.grid
    height = grid.heights[0] if height is None else height
    if height not in grid.heights:
        offered = ", ".join(f"{one:g}" for one in grid.heights)
        raise InputError(f"--height is {height:g}; the surrogate gives the wind at {offered} m.")
    log.info(
        "%s in place of the %s model, %d networks trained on %d terrains; out-of-fold RMSE of the "
        "speed %.1f %% of the inflow's",
        about.network,
        about.solver.replace("_", "-"),
        about.networks,
        about.terrains,
        100 * about.rmse,
    )
    with open_model(dem) as opened:
        frame = Frame.around(opened, direction, grid.spacing)
        if any(have < need for have, need in zip(frame.shape, grid.shape, strict=True)):
            extent = " × ".join(f"{n * grid.spacing / 1000:.3g}" for n in frame.shape[::-1])
            needed = " × ".join(f"{n * grid.spacing / 1000:.3g}" for n in grid.shape[::-1])
            raise InputError(
                f"{dem}: extends over {extent} km along and across the wind, less than a window of "
                f"the surrogate, {needed} km; give a larger elevation model."
            )
        with open_roughness(roughness, opened) as rough:
            flow, seen = relative_flow(surrogate, opened, frame, rough, grid.heights.index(height))
        _warn(opened, surrogate, seen)
        facts = {
            "inflow_speed": speed,
            "inflow_direction": direction,
            "height": height,
            "network": about.network,
            "interval_coverage": about.coverage,
            "interval_half_width": about.half_width * speed,
        }
        if output.suffix == ".nc":
            _write_netcdf(opened, frame, flow, speed, facts, output)
        else:
            _write_geotiff(opened, frame, flow, speed, facts, output)


def _check(speed: float, direction: float, output: Path) -> None:
    if output.suffix not in (".tif", ".tiff", ".nc"):
        raise InputError(f"{output}: the wind is written as .tif or .nc; name it so.")
    if not 0 < speed < np.inf:
        raise InputError(f"--speed is {speed:g}; give a speed above 0 m/s.")
    if not 0 <= direction <= 360:
        raise InputError(f"--direction is {direction:g}; give 0 to 360 degrees, 270 from the west.")


@contextmanager
def open_roughness(given: str, model: ElevationModel) -> Iterator["float | ElevationModel"]:
    """Return a roughness length, or an open map of it in the projection of the elevation model.

    Raises
    ------
    InputError
        If it is neither a positive number nor a GeoTIFF.
    """
    try:
        value = float(given)
    except ValueError:
        with open_model(Path(given)) as opened:
            yield replace(opened, crs=model.crs)
        return
    if not 0 < value < np.inf:
        raise InputError(f"--roughness is {given}; give a length above 0 m.")
    yield value


def _warn(model: ElevationModel, surrogate: FittedSurrogate, seen: _Seen) -> None:
    """Refuse an empty result; warn about windows unlike the terrains that were learned."""
    about, path = surrogate.about, model.path
    if seen.windows == seen.failed:
        raise InputError(
            f"{path}: each of its {seen.windows + seen.gaps} windows of "
            f"{surrogate.grid.shape[1] * surrogate.grid.spacing / 1000:.3g} km lacks values of "
            "elevation or roughness; fill the gaps or give a larger elevation model."
        )
    if seen.failed:
        log.warning("warning: the cheap model failed in %d windows", seen.failed)
    if model.resolution > 2 * surrogate.grid.spacing:
        log.warning(
            "warning: pixels of %.0f m are coarse for a surrogate of cells of %.0f m",
            model.resolution,
            surrogate.grid.spacing,
        )
    if seen.beyond:
        log.warning(
            "warning: %d of %d windows are beyond what was learned from: slope (95th percentile) "
            "up to %.2f (learned %.2f), relief up to %.0f m (learned %.0f m), roughness %.4g to "
            "%.4g m (learned %.4g to %.4g m)",
            seen.beyond,
            seen.windows,
            seen.slope,
            about.slope_p95,
            seen.relief,
            about.relief,
            *seen.roughness,
            *about.roughness,
        )


def _write_geotiff(
    model: ElevationModel,
    frame: Frame,
    flow: np.ndarray,
    speed: float,
    facts: dict[str, Any],
    output: Path,
) -> None:
    source = model.source
    with (
        writing(output) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            width=source.width,
            height=source.height,
            count=len(LAYERS),
            dtype="float32",
            crs=source.crs,
            transform=source.transform,
            nodata=np.nan,
            compress="deflate",
            BIGTIFF="IF_SAFER",
        ) as target,
    ):
        for band, (name, (long_name, unit)) in enumerate(LAYERS.items(), start=1):
            target.set_band_description(band, name)
            target.set_band_unit(band, unit)
            target.update_tags(band, long_name=long_name)
        target.update_tags(**facts)
        for start, layers in pixels(model, frame, flow, speed):
            target.write(layers, window=Window(0, start, source.width, layers.shape[1]))


def _write_netcdf(
    model: ElevationModel,
    frame: Frame,
    flow: np.ndarray,
    speed: float,
    facts: dict[str, Any],
    output: Path,
) -> None:
    import xarray as xr

    source = model.source
    if source.transform.b or source.transform.d:
        raise InputError(
            f"{model.path}: its pixels are turned against its coordinates, which a NetCDF file "
            "cannot say; write .tif."
        )
    blocks = np.concatenate([layers for _, layers in pixels(model, frame, flow, speed)], axis=1)
    metric = not source.crs.is_geographic
    kinds = ("projection_x_coordinate", "projection_y_coordinate")
    kinds = kinds if metric else ("longitude", "latitude")
    units = ("m", "m") if metric else ("degrees_east", "degrees_north")
    x = source.transform.c + (np.arange(source.width) + 0.5) * source.transform.a
    y = source.transform.f + (np.arange(source.height) + 0.5) * source.transform.e
    dataset = xr.Dataset(
        {
            name: (("y", "x"), block, {"long_name": long_name, "units": unit})
            for block, (name, (long_name, unit)) in zip(blocks, LAYERS.items(), strict=True)
        },
        coords={
            axis: (axis, values, {"standard_name": kind, "units": unit})
            for axis, values, kind, unit in zip("xy", (x, y), kinds, units, strict=True)
        },
        attrs={"Conventions": "CF-1.11", **facts},
    )
    dataset["crs"] = ((), 0, {"crs_wkt": source.crs.to_wkt()})
    for name in LAYERS:
        dataset[name].attrs["grid_mapping"] = "crs"
    compressed = {name: {"zlib": True, "complevel": 4} for name in LAYERS}
    write_netcdf(dataset, output, compressed)


if __name__ == "__main__":
    main(predict)
