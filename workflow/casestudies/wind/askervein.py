"""Askervein, a hill of 116 m on South Uist whose wind was measured in 1982 and 1983.

Readers of its map and of its masts (Taylor and Teunissen 1987, Boundary-Layer Meteorol. 39, 15-39),
and the step that writes the hill as a terrain of this study.

The map is of the form that WAsP reads: a line of text, two lines that tie the map's coordinates to
metres, a line with the scale and the offset of heights, then polylines. Each has a line that ends
in its number of points, and then as many pairs x y, over any number of lines. Before the number
stand, of a contour, its height; of one at which the roughness changes, too, both roughness lengths
and the height; of a mere change of roughness, both roughness lengths: that is no contour.

Coordinates are those of the British National Grid, less 700 km along y.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.files import writing
from casestudies.steps import log, main
from casestudies.tables import read_table
from casestudies.wind.terrain import Terrains, blend, guard
from casestudies.wind.tile import downwind

MAP = "Askervein_Neutral_elevation-roughness.map"
MASTS = "askervein_validation1.txt"
CENTRE = (75383.0, 23737.0)
"""The hill top HT (m), centre of the terrain."""
NORTH = 700_000.0
"""What the map and the masts leave out of the northing (m)."""
DIRECTION = 210.0
"""Direction of the wind in the neutral runs TU03 (degrees)."""
ROUGHNESS = 0.03
"""Roughness length of the heather and grass (m; Taylor and Teunissen 1987)."""
REFERENCE = "RS"
"""The mast upwind, on level ground, whose speed at 10 m is the inflow."""
POSITIONS = {
    "windward": ("ASW", "AASW"),
    "ridge": ("HT", "CP", "BNW", "BSE"),
    "lee": ("ANE", "AANE"),
}
"""Place of a station, by the line of masts that it is named after: A and AA cross the hill along
the wind, through HT and CP; B runs along its ridge."""

_HEADER = 4  # lines
_IDENTITY = ([0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0])
_COLUMNS = {
    "Name": "mast",
    "Sensor": "sensor",
    "X(m)": "x",
    "Y(m)": "y",
    "Z(m)": "elevation",
    "H(m)": "height",
    "S(m/s)": "speed",
    "FSR": "speed_up",
    "FSRmin": "below",
    "FSRmax": "above",
}
_MISSING = -999.0


# The map ----------------------------------------------------------------------------------------


def read_contours(path: Path) -> np.ndarray:
    """Return the points of all contours, (n, 3): x, y and height (m).

    Raises
    ------
    InputError
        If the file is missing or not such a map; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    lines = path.read_text(encoding="latin-1").splitlines()
    if len(lines) <= _HEADER:
        raise InputError(f"{path}: {len(lines)} lines are too few for a map in WAsP's form.")
    ties = [_numbers(path, lines, number) for number in (1, 2)]
    if [tie.tolist() for tie in ties] != list(_IDENTITY):
        raise InputError(
            f"{path}, lines 2 and 3: the map's coordinates must be metres, with the lines 0 0 0 0 "
            "and 1 0 1 0; convert the map."
        )
    factors = _numbers(path, lines, 3)
    if len(factors) != 2 or factors[0] == 0:
        raise InputError(f"{path}, line 4: needs the scale of heights and their offset.")
    scale, offset = factors
    found, number = [], _HEADER
    while number < len(lines):
        start = number
        header = _numbers(path, lines, number)
        number += 1
        if not len(header):
            continue
        count = header[-1]
        if len(header) not in (2, 3, 4) or count != int(count) or count < 1:
            raise InputError(
                f"{path}, line {start + 1}: a polyline starts with 2 to 4 numbers, of which the "
                f"last is its number of points; found {lines[start].strip()!r}."
            )
        values: list[float] = []
        while len(values) < 2 * count and number < len(lines):
            values += _numbers(path, lines, number).tolist()
            number += 1
        if len(values) != 2 * count:
            raise InputError(
                f"{path}, line {start + 1}: the polyline should have {int(count)} points, that is "
                f"{int(2 * count)} numbers, but {len(values)} come before line {number + 1}."
            )
        if len(header) == 3:
            continue
        height = scale * (header[-2] + offset)
        points = np.reshape(values, (-1, 2))
        found.append(np.column_stack([points, np.full(len(points), height)]))
    if not found:
        raise InputError(f"{path}: holds no contour.")
    return np.concatenate(found)


def _numbers(path: Path, lines: list[str], number: int) -> np.ndarray:
    try:
        values = np.array(lines[number].split(), dtype=float)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise InputError(f"{path}, line {number + 1}: not numbers: {lines[number].strip()!r}.")
    return values


# The frame and the grid -------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """A grid of the hill in the frame of casestudies.wind.flow, centred on the hill top.

    Parameters
    ----------
    shape
        Cells along y and x.
    spacing
        Size of a cell (m).
    direction
        That the wind comes from (degrees clockwise from grid north).
    """

    shape: tuple[int, int]
    spacing: float
    direction: float = DIRECTION

    @property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Easting and northing of the nodes, (ny + 1, nx + 1) (m)."""
        y, x = (self.spacing * (np.arange(size + 1) - size / 2) for size in self.shape)
        along, across = downwind(self.direction)
        east, north = (
            centre + x * a + y[:, None] * b
            for centre, a, b in zip(CENTRE, along, across, strict=True)
        )
        return east, north

    def cells(self, east: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places as fractional indices of cell centres, along y and x."""
        offset = np.stack([np.asarray(east) - CENTRE[0], np.asarray(north) - CENTRE[1]])
        along, across = downwind(self.direction)
        return tuple(
            unit @ offset / self.spacing + size / 2 - 0.5
            for unit, size in zip((across, along), self.shape, strict=True)
        )


def elevation(contours: np.ndarray, east: np.ndarray, north: np.ndarray) -> np.ndarray:
    """Interpolate contours to places, linearly in the triangles between their points.

    Parameters
    ----------
    contours
        (n, 3) m.
    east, north
        (ny, nx) m.

    Returns
    -------
    (ny, nx) m.

    Raises
    ------
    InputError
        If a place lies beyond the contours.
    """
    from scipy.interpolate import LinearNDInterpolator

    # Where contours touch, the triangulation needs one of the points.
    points = contours[np.unique(contours[:, :2], axis=0, return_index=True)[1]]
    found = LinearNDInterpolator(points[:, :2], points[:, 2])(east, north)
    if np.isnan(found).any():
        raise InputError(
            f"{MAP}: its contours do not reach as far as the grid, of {np.ptp(east):.0f} m from "
            f"west to east and {np.ptp(north):.0f} m from south to north; choose a smaller one."
        )
    return found


def write_dem(
    contours: np.ndarray, path: Path, half: float = 5000.0, spacing: float = 20.0
) -> None:
    """Write the hill and what is around it as an elevation model (GeoTIFF).

    Parameters
    ----------
    contours
        (n, 3) m.
    half
        Half of the side of the square, centred on the hill top, that is written as far as the map
        goes (m).
    spacing
        Size of a pixel (m).
    """
    import rasterio
    from rasterio.transform import from_origin

    low, high = contours[:, :2].min(axis=0), contours[:, :2].max(axis=0)
    west, south = np.maximum(np.array(CENTRE) - half, low)
    width, height = (
        int((min(centre + half, end) - start) / spacing)
        for centre, end, start in zip(CENTRE, high, (west, south), strict=True)
    )
    east, north = np.meshgrid(
        west + spacing * (np.arange(width) + 0.5),
        south + spacing * (np.arange(height)[::-1] + 0.5),
    )
    values = elevation(contours, east, north).astype(np.float32)
    place = from_origin(west, south + height * spacing + NORTH, spacing, spacing)
    with (
        writing(path) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=1,
            dtype="float32",
            crs="EPSG:27700",
            transform=place,
        ) as target,
    ):
        target.write(values, 1)


# The masts --------------------------------------------------------------------------------------


def read_masts(path: Path) -> pd.DataFrame:
    """Read the table of measurements.

    Returns
    -------
    DataFrame, one row an instrument
        mast, sensor; x, y, elevation (m); height above ground (m); speed (m/s); speed_up, the speed
        over that of the reference mast at 10 m, less 1; lower and upper, its bounds. What was not
        measured is NaN. The columns FSRmin and FSRmax of the file are widths of the bounds.

    Raises
    ------
    InputError
        If the file is missing, a column is, a place is, or a value is not a number; the message
        names the line.
    """
    path = Path(path)
    frame = read_table(path, columns=_COLUMNS)[list(_COLUMNS)].rename(columns=_COLUMNS)
    for name, column in zip(_COLUMNS, _COLUMNS.values(), strict=True):
        if column in ("mast", "sensor"):
            frame[column] = frame[column].astype(str).str.strip()
            continue
        values = pd.to_numeric(frame[column], errors="coerce")
        wrong = values.isna()
        if column in ("x", "y", "elevation", "height"):
            wrong |= values == _MISSING
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{path}, line {row + 2}: {name} is {frame[column].iloc[row]!r}; a number is "
                f"needed{'' if values.isna()[row] else ' of every instrument'}."
            )
        frame[column] = values.mask(values == _MISSING).astype(float)
    below, above = frame.pop("below"), frame.pop("above")
    return frame.assign(lower=frame["speed_up"] - below, upper=frame["speed_up"] + above)


def stations(masts: pd.DataFrame, height: float = 10.0) -> pd.DataFrame:
    """Return the stations with a speed-up at a height, but the reference.

    Instruments of one mast, named alike but for what stands in brackets, are one station: their
    places, speed-ups and bounds are averaged.

    Returns
    -------
    DataFrame, in the order of the file
        station, position (of POSITIONS), x, y, elevation (m), instruments, speed_up, lower, upper.

    Raises
    ------
    InputError
        If a name is of no line of masts.
    """
    names = masts["mast"].map(lambda name: re.sub(r"\s*\(.*\)$", "", name))
    kept = (masts["height"] == height) & masts["speed_up"].notna() & (names != REFERENCE)
    grouped = masts[kept].groupby(names[kept].rename("station"), sort=False)
    means = grouped[["x", "y", "elevation", "speed_up", "lower", "upper"]].mean()
    means.insert(3, "instruments", grouped.size())
    found = means.reset_index()
    found.insert(1, "position", found["station"].map(_position))
    return found


def _position(station: str) -> str:
    line = station.rstrip("0123456789")
    for position, lines in POSITIONS.items():
        if line in lines:
            return position
    known = ", ".join(name for lines in POSITIONS.values() for name in lines)
    raise InputError(f"{station!r} is of none of the lines of masts, {known}.")


# The step ---------------------------------------------------------------------------------------


def askervein(
    *,
    data: Path,
    output: Path,
    spacing: float = 40.0,
    cells: tuple[int, int] = (120, 96),
    fringe: float = 0.0,
    roughness: float = ROUGHNESS,
) -> None:
    """Write the hill as a terrain, for flow models and networks to run on.

    Parameters
    ----------
    data
        Folder of the data set askervein.
    output
        terrains.nc.
    spacing
        Size of a cell (m).
    cells
        Cells along the wind and across.
    fringe
        Part of the terrain, on each side, that is blended to flat ground. Networks need that of the
        terrain that they were trained on, and then a grid so large that no mast is in the fringe.
    roughness
        Roughness length (m).

    Raises
    ------
    InputError
        If the map cannot be read, or the grid reaches beyond it.
    """
    if not spacing > 0 or min(cells) < 8 or not 0 <= fringe < 0.5 or not roughness > 0:
        raise InputError(
            "--spacing and --roughness must be above 0, --cells at least 8 and --fringe from 0 to "
            f"below 0.5; they are {spacing}, {roughness}, {cells} and {fringe}."
        )
    grid = Grid((cells[1], cells[0]), spacing)
    height = elevation(read_contours(data / MAP), *grid.nodes)
    if fringe:
        height = blend(height, fringe)
    slope, relief, _ = guard(height[None], spacing, np.inf, np.inf)
    table = pd.DataFrame(
        {
            "terrain": [f"askervein-{grid.direction:.0f}"],
            "roughness": roughness,
            "massif": "askervein",
            "real": 1,
            "rejected": "",
            "slope_p95": slope,
            "relief": relief,
            "correlation_length": np.nan,
            "slope_rms": np.nan,
            "spectral_exponent": np.nan,
            "x": CENTRE[0],
            "y": CENTRE[1],
            "direction": grid.direction,
        }
    )
    Terrains(height[None], table, spacing, fringe).write(output)
    log.info("askervein: relief %.0f m, 95th percentile of slope %.2f", relief[0], slope[0])


if __name__ == "__main__":
    main(askervein)
