"""Cut elevation models into terrains: tiles that do not overlap, turned into the wind.

Each tile is sampled once from the model's own grid, in a metric projection (for a model in degrees,
that of its UTM zone): turned so that the wind comes in at x = 0, by cubic interpolation whose
kernel widens to an average where the model is finer than the tile. The tiles of a model lie on one
square lattice of random orientation, so that they touch and never overlap; the wind comes from a
random side of each. Their fringe is blended to flat ground and guard rails judge them as they do
random fields; rejected tiles stay on record.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject, transform

from casestudies.errors import InputError
from casestudies.steps import log, main
from casestudies.wind.terrain import Terrains, blend, guard, read_terrains

_METRES = ("", "m", "metre", "metres", "meter", "meters")
LOWEST, HIGHEST = -500.0, 9000.0
"""Elevations beyond these are no ground: missing values that the file does not declare (m)."""
_OFFSETS = 8  # places of the lattice that are tried, along each of its axes


def downwind(direction: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors (east, north) along x and y of a terrain.

    Parameters
    ----------
    direction
        That the wind comes from, degrees clockwise from grid north.
    """
    angle = np.radians(direction)
    along = np.array([-np.sin(angle), -np.cos(angle)])
    return along, np.array([-along[1], along[0]])


@dataclass(frozen=True)
class ElevationModel:
    """An open elevation model.

    Parameters
    ----------
    crs
        The metric projection in which places are given: the model's own, or a UTM zone.
    """

    path: Path
    source: rasterio.DatasetReader
    crs: CRS

    @property
    def resolution(self) -> float:
        """The size of a pixel, the geometric mean of its sides (m)."""
        column, row = self.source.width / 2, self.source.height / 2
        x, y = self.place(column + np.array([0.0, 1.0, 0.0]), row + np.array([0.0, 0.0, 1.0]))
        sides = np.hypot(x[1:] - x[0], y[1:] - y[0])
        return float(np.sqrt(sides.prod()))

    def place(self, column: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of pixels (m)."""
        x, y = _apply(self.source.transform, column, row)
        return _moved(self.source.crs, self.crs, x, y)

    def own(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places (m) in the model's own coordinates."""
        return _moved(self.crs, self.source.crs, x, y)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return which places (m) the model covers, bool of the same shape."""
        column, row = _apply(~self.source.transform, *self.own(x, y))
        width, height = self.source.width, self.source.height
        return (column >= 0) & (column <= width) & (row >= 0) & (row <= height)

    def cut(
        self, x: float, y: float, direction: float, shape: tuple[int, int], spacing: float
    ) -> np.ndarray:
        """Return the elevation about a place, turned so that the wind comes in at x = 0.

        Parameters
        ----------
        x, y
            The centre, in ``crs`` (m).
        direction
            That the wind comes from, degrees clockwise from grid north.
        shape
            Cells along y and x.
        spacing
            Size of a cell (m).

        Returns
        -------
        At nodes, (ny + 1, nx + 1), m, NaN where the model has no value; the fringe is not blended.
        """
        along, left = (vector * spacing for vector in downwind(direction))
        # The nodes are the middles of the pixels that are warped to.
        corner = np.array([x, y]) - (shape[1] + 1) / 2 * along - (shape[0] + 1) / 2 * left
        onto = Affine(along[0], left[0], corner[0], along[1], left[1], corner[1])
        found = np.full((shape[0] + 1, shape[1] + 1), np.nan)
        # GDAL would guess the kernel's width from bounding boxes, which depend on the direction.
        scale = min(1.0, self.resolution / spacing)
        reproject(
            rasterio.band(self.source, 1),
            found,
            dst_transform=onto,
            dst_crs=self.crs,
            src_nodata=self.source.nodata,
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
            XSCALE=scale,
            YSCALE=scale,
        )
        return np.where((found >= LOWEST) & (found <= HIGHEST), found, np.nan)


def _apply(affine: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _moved(before: CRS, after: CRS, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if before == after:
        return np.asarray(x), np.asarray(y)
    shape = np.shape(x)
    moved = transform(before, after, np.ravel(x), np.ravel(y))
    return np.reshape(moved[0], shape), np.reshape(moved[1], shape)


@contextmanager
def open_model(path: Path) -> Iterator[ElevationModel]:
    """Open an elevation model (GeoTIFF).

    Raises
    ------
    InputError
        If the file is missing or no raster, has several bands or no coordinate reference system,
        or its units are not metres.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        source = rasterio.open(path)
    except RasterioError as error:
        raise InputError(f"{path}: cannot be read as GeoTIFF ({error}).") from error
    with source:
        if source.count != 1:
            raise InputError(
                f"{path}: has {source.count} bands; an elevation model has one. Extract it, as "
                "with gdal_translate -b 1."
            )
        if source.crs is None:
            raise InputError(
                f"{path}: has no coordinate reference system; assign the one it is in, as with "
                "gdal_edit.py -a_srs EPSG:32632."
            )
        unit = (source.units[0] or "").strip().lower()
        if unit not in _METRES:
            raise InputError(
                f"{path}: its elevations are in {unit!r}, not in metres; convert them, as with "
                "gdal_calc.py, and set the unit."
            )
        crs = source.crs
        if crs.is_geographic:
            column, row = source.width / 2, source.height / 2
            longitude, latitude = _apply(source.transform, column, row)
            zone = int((longitude + 180) // 6) % 60 + 1
            crs = CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)
        elif not crs.is_projected or abs(crs.linear_units_factor[1] - 1) > 1e-9:
            unit = crs.linear_units if crs.is_projected else "unknown units"
            raise InputError(
                f"{path}: its coordinates are in {unit!r}, not in metres; project it, as with "
                "gdalwarp -t_srs EPSG:32632."
            )
        yield ElevationModel(path, source, crs)


def _lattice(
    model: ElevationModel, length: float, direction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of tiles, (n,) each, on the lattice that holds the most of them."""
    along, left = downwind(direction)
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)], dtype=float)
    place = np.stack(model.place(*(corners * [model.source.width, model.source.height]).T))
    middle = place.mean(axis=1)
    reach = int(np.ceil(np.hypot(*(place - middle[:, None])).max() / length)) + 1
    number = np.arange(-reach, reach + 1)
    best = np.empty((2, 0))
    for step in np.ndindex(_OFFSETS, _OFFSETS):
        j, i = (number + share / _OFFSETS for share in step)
        x, y = (
            middle[axis] + length * (i * along[axis] + j[:, None] * left[axis]) for axis in (0, 1)
        )
        whole = np.ones(x.shape, dtype=bool)
        for a, b in (corners - 0.5) * length:
            whole &= model.inside(x + a * along[0] + b * left[0], y + a * along[1] + b * left[1])
        if whole.sum() > best.shape[1]:
            best = np.stack([x[whole], y[whole]])
    return best[0], best[1]


def tiles(
    model: ElevationModel,
    cells: int,
    spacing: float,
    fringe: float,
    steepest: float,
    relief: float,
    most: int,
    roughness: tuple[float, float],
    seed: np.random.SeedSequence,
) -> Terrains:
    """Return the tiles of an elevation model, rejected ones among them.

    At most ``most`` of those without gaps are taken, at random.

    Raises
    ------
    InputError
        If the model is smaller than a tile, or every tile lacks values.
    """
    rng = np.random.default_rng(seed)
    massif, length = model.path.stem, cells * spacing
    first = int(rng.integers(360))
    x, y = _lattice(model, length, first)
    if not len(x):
        raise InputError(
            f"{model.path}: is smaller than a tile of {length / 1000:g} × {length / 1000:g} km, "
            f"turned by {first} degrees; choose smaller or fewer cells (tile.spacing, tile.cells)."
        )
    if model.resolution > 2 * spacing:
        log.warning(
            "warning: %s: its pixels of %.0f m are coarse for cells of %.0f m; the terrain is "
            "smoother than it should be",
            model.path,
            model.resolution,
            spacing,
        )
    rows, elevations, missing = [], [], 0
    for number in rng.permutation(len(x)):
        direction = (first + 90 * int(rng.integers(4))) % 360
        z0 = float(np.exp(rng.uniform(*np.log(roughness))))
        if len(rows) == most:
            break
        elevation = model.cut(x[number], y[number], direction, (cells, cells), spacing)
        if not np.isfinite(elevation).all():
            missing += 1
            continue
        elevation = blend(elevation, fringe)
        percentile, height, rejected = guard(elevation[None], spacing, steepest, relief)
        easting, northing = model.own(x[[number]], y[[number]])
        elevations.append(elevation)
        rows.append(
            {
                "terrain": f"{massif}-{number:03d}-{direction:03d}",
                "roughness": z0,
                "massif": massif,
                "real": 1,
                "rejected": rejected[0],
                "slope_p95": percentile[0],
                "relief": height[0],
                "correlation_length": np.nan,
                "slope_rms": np.nan,
                "spectral_exponent": np.nan,
                "x": easting[0],
                "y": northing[0],
                "direction": float(direction),
            }
        )
    if not rows:
        raise InputError(
            f"{model.path}: each of its {len(x)} tiles lacks values; fill the gaps, or choose "
            "smaller tiles (tile.cells, tile.spacing)."
        )
    log.info(
        "%s: %d tiles, %d rejected by guard rails; %d more lack values",
        massif,
        len(rows),
        sum(row["rejected"] != "" for row in rows),
        missing,
    )
    order = np.argsort([row["terrain"] for row in rows])
    table = pd.DataFrame([rows[k] for k in order])
    return Terrains(np.stack([elevations[k] for k in order]), table, spacing, fringe)


def find_rasters(paths: list[Path]) -> list[Path]:
    """Return GeoTIFFs, of files and of folders, by name.

    Raises
    ------
    InputError
        If there is none, or two have one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        inner = [path]
        if path.is_dir():
            inner = [one for one in path.iterdir() if one.suffix.lower() in (".tif", ".tiff")]
        if not inner:
            raise InputError(f"{path}: holds no GeoTIFF (.tif, .tiff).")
        for one in inner:
            if one.stem in found:
                raise InputError(
                    f"{one}: and {found[one.stem]} have one name, which is that of the massif; "
                    "rename one."
                )
            found[one.stem] = one
    if not found:
        raise InputError("tile: --rasters names no elevation model.")
    return [found[name] for name in sorted(found)]


def tile(
    *,
    rasters: list[Path],
    output: Path,
    fields: Path | None = None,
    cells: int = 48,
    spacing: float = 60.0,
    fringe: float = 0.25,
    steepest: float = 1.0,
    relief: float = 700.0,
    per_massif: int = 40,
    roughness: tuple[float, float] = (0.005, 0.5),
    seed: int = 0,
) -> None:
    """Write the terrains of elevation models, after those of random fields if given.

    Parameters
    ----------
    rasters
        Elevation models (GeoTIFF), or folders of them; the name of each is that of its massif.
    output
        terrains.nc to write.
    fields
        terrains.nc of random fields on the same grid, which come first.
    cells
        Cells on each side.
    spacing
        Size of a cell (m).
    fringe
        Part of a tile, on each side, in which it is blended to flat ground.
    steepest
        Tiles whose 95th percentile of slope is above this are rejected (m per m).
    relief
        Tiles of more relief are rejected (m).
    per_massif
        Tiles of each elevation model, at most, rejected ones among them.
    roughness
        Range of the roughness length (m), drawn evenly in its logarithm.
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        If an elevation model or the random fields cannot be used; nothing is written then.
    """
    low, high = roughness
    for wrong, message in (
        (cells < 16, f"--cells is {cells}; give at least 16"),
        (not 0 < spacing < np.inf, f"--spacing is {spacing}; give a size above 0 m"),
        (not 0.1 <= fringe <= 0.4, f"--fringe is {fringe}; give 0.1 to 0.4 of the tile"),
        (per_massif < 1, f"--per-massif is {per_massif}; give at least 1"),
        (not 0 < low <= high < np.inf, f"--roughness is {roughness}; give two lengths in order"),
        (seed < 0, f"--seed is {seed}; give 0 or more"),
    ):
        if wrong:
            raise InputError(f"tile: {message}.")
    parts = []
    if fields is not None:
        first = read_terrains(fields)
        grid = (first.shape, first.spacing, first.fringe)
        if grid != ((cells, cells), spacing, fringe):
            raise InputError(
                f"{fields}: cells, spacing and fringe are {grid}, those of the tiles "
                f"{((cells, cells), spacing, fringe)}; make the random fields again."
            )
        parts.append(first)
    for path in find_rasters(rasters):
        # A massif's tiles do not depend on the other massifs.
        child = np.random.SeedSequence([seed, *path.stem.encode()])
        with open_model(path) as model:
            parts.append(
                tiles(model, cells, spacing, fringe, steepest, relief, per_massif, roughness, child)
            )
    Terrains.join(parts).write(output)


if __name__ == "__main__":
    main(tile)
