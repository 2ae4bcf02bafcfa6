"""Image series on disk: one Zarr store, one variable a channel, read and written frame by frame.

Every channel is a CF variable ``(time, y, x)`` with units, packed into 16-bit integers
(``scale_factor``, ``add_offset``; 65535 is missing), so that xarray opens the store as it is. Small
frames share a chunk and large ones have one each; chunks are gathered into shards, so that a year
of hours is some thousands of files and not millions. Memory is bounded by one shard on the way in
and by the frames asked for on the way out.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr

from casestudies.errors import InputError
from casestudies.files import named

FILL = np.uint16(65535)
LEVELS = 65534
EPOCH = np.datetime64("1970-01-01T00", "s")
CHUNK_BYTES = 1 << 20
SHARD_BYTES = 1 << 25
_LEAST_VALID = 0.25  # share of a block's pixels below which its mean is called missing


@dataclass(frozen=True)
class Channel:
    """One channel of an image: its name, its units and the range in which its values lie."""

    name: str
    units: str
    long_name: str
    minimum: float
    maximum: float

    @property
    def scale(self) -> float:
        return max(self.maximum - self.minimum, 1e-12) / (LEVELS - 1)

    @property
    def middle(self) -> float:
        """The middle of the range."""
        return self.minimum + self.scale * (LEVELS - 1) / 2


class ImageWriter:
    """Writes an image series; the store appears under its own name once it is whole.

    Parameters
    ----------
    path
        The Zarr store, replaced if it exists.
    channels
        Values outside a channel's range are an error.
    frames
        How many frames will come.
    y, x
        Coordinates with their CF attributes: (values, attributes) each.
    attributes
        Facts about the whole series (JSON-serialisable).
    """

    def __init__(
        self,
        path: Path,
        channels: Sequence[Channel],
        frames: int,
        y: tuple[np.ndarray, Mapping[str, Any]],
        x: tuple[np.ndarray, Mapping[str, Any]],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.channels = tuple(channels)
        self.shape = (frames, len(self.channels), len(y[0]), len(x[0]))
        self._part = self.path.with_name(f".{self.path.name}.part")
        shutil.rmtree(self._part, ignore_errors=True)
        with self._removed_on_error():
            self._create(frames, y, x, attributes or {})

    @contextmanager
    def _removed_on_error(self) -> Iterator[None]:
        """Name the store in what the disk refuses, and leave nothing of it."""
        try:
            with named(self.path):
                yield
        except BaseException:
            shutil.rmtree(self._part, ignore_errors=True)
            raise

    def _create(
        self,
        frames: int,
        y: tuple[np.ndarray, Mapping[str, Any]],
        x: tuple[np.ndarray, Mapping[str, Any]],
        attributes: Mapping[str, Any],
    ) -> None:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        names = [channel.name for channel in self.channels]
        facts = {"Conventions": "CF-1.11", "channels": names, **attributes}
        self._group = zarr.open_group(self._part, mode="w", zarr_format=3, attributes=facts)
        frame_bytes = 2 * self.shape[2] * self.shape[3]
        chunk = max(1, min(CHUNK_BYTES // frame_bytes, frames))
        shard = chunk * max(1, min(SHARD_BYTES // (frame_bytes * chunk), -(-frames // chunk)))
        for name, (values, attrs) in {"y": y, "x": x}.items():
            array = self._group.create_array(
                name, data=np.asarray(values, dtype=float), dimension_names=[name]
            )
            array.attrs.update(dict(attrs))
        self._arrays = [
            self._group.create_array(
                channel.name,
                shape=(frames, *self.shape[2:]),
                dtype="uint16",
                chunks=(chunk, *self.shape[2:]),
                shards=(shard, *self.shape[2:]),
                fill_value=int(FILL),
                dimension_names=["time", "y", "x"],
                compressors=zarr.codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
                attributes={
                    "units": channel.units,
                    "long_name": channel.long_name,
                    "scale_factor": channel.scale,
                    "add_offset": channel.minimum,
                    "_FillValue": int(FILL),
                },
            )
            for channel in self.channels
        ]
        self._buffer = np.full((len(self.channels), shard, *self.shape[2:]), FILL, np.uint16)
        self._held = 0
        self._written = 0
        self._times: list[np.datetime64] = []
        self._digest = hashlib.blake2b(repr((self.shape, self.channels)).encode(), digest_size=16)

    def append(self, time: np.datetime64, frame: np.ndarray) -> None:
        """Add the frame of one time; NaN is missing.

        Parameters
        ----------
        time
            After that of the frame before.
        frame
            Shape (channels, y, x).

        Raises
        ------
        ValueError
            If the shape is another, time does not go on, or a value is out of its channel's range.
        """
        time = np.datetime64(time, "s")
        if frame.shape != self.shape[1:]:
            raise ValueError(f"frame of shape {frame.shape} in a series of {self.shape[1:]}")
        if self._times and time <= self._times[-1]:
            raise ValueError(f"frame of {time} after that of {self._times[-1]}")
        for k, channel in enumerate(self.channels):
            levels = np.rint((frame[k] - channel.minimum) / channel.scale)
            missing = np.isnan(levels)
            if ((levels < 0) | (levels > LEVELS))[~missing].any():
                raise ValueError(
                    f"{channel.name} holds values outside {channel.minimum} to {channel.maximum}"
                )
            self._buffer[k, self._held] = np.where(missing, FILL, levels).astype(np.uint16)
        self._digest.update(f"{time}".encode() + self._buffer[:, self._held].tobytes())
        self._times.append(time)
        self._held += 1
        if self._held == self._buffer.shape[1]:
            self._flush()

    def _flush(self) -> None:
        for array, values in zip(self._arrays, self._buffer, strict=True):
            array[self._written : self._written + self._held] = values[: self._held]
        self._written += self._held
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._removed_on_error():
            if error is not None:
                raise error
            self._finish()

    def _finish(self) -> None:
        self._flush()
        if self._written != self.shape[0]:
            raise ValueError(f"{self._written} frames came, {self.shape[0]} were announced")
        seconds = (np.array(self._times) - EPOCH).astype("timedelta64[s]").astype(np.int64)
        time = self._group.create_array("time", data=seconds, dimension_names=["time"])
        time.attrs.update(
            {"units": "seconds since 1970-01-01", "calendar": "standard", "standard_name": "time"}
        )
        self._group.attrs["digest"] = self._digest.hexdigest()
        if self.path.exists():
            shutil.rmtree(self.path)
        self._part.replace(self.path)


class Images:
    """An image series, read by frame.

    Attributes
    ----------
    times
        datetime64[s], ascending.
    channels
        Of the class Channel.
    shape
        (frames, channels, y, x).
    attributes
        Facts about the series; ``digest`` tells series of other values or times apart.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            group = zarr.open_group(self.path, mode="r")
            seconds = np.asarray(group["time"][:])
            names = list(group.attrs["channels"])
            self._arrays = [group[name] for name in names]
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: not a readable image series ({error}).") from error
        self.times = EPOCH + seconds.astype("timedelta64[s]")
        self.channels = tuple(_channel(name, group[name].attrs) for name in names)
        self.y, self.x = np.asarray(group["y"][:]), np.asarray(group["x"][:])
        self.shape = (len(seconds), len(names), len(self.y), len(self.x))
        self.attributes = json.loads(json.dumps(dict(group.attrs)))
        self._chunk = self._arrays[0].chunks[0]

    def packed(self, frames: np.ndarray) -> np.ndarray:
        """Return frames as stored, uint16 of shape (n, channels, y, x).

        Parameters
        ----------
        frames
            Positions, shape (n,), in any order.

        Raises
        ------
        InputError
            If a chunk cannot be decoded.
        """
        frames = np.asarray(frames, dtype=np.int64)
        out = np.empty((len(frames), *self.shape[1:]), np.uint16)
        try:
            for k, array in enumerate(self._arrays):
                for chunk in np.unique(frames // self._chunk):
                    wanted = np.flatnonzero(frames // self._chunk == chunk)
                    start = int(chunk) * self._chunk
                    block = array[start : start + self._chunk]
                    out[wanted, k] = block[frames[wanted] - start]
        except Exception as error:  # codecs raise what they like
            name = self.channels[k].name
            raise InputError(
                f"{self.path}: channel {name!r}: a chunk cannot be read ({error}); the file is "
                "damaged: delete the store and make it again."
            ) from error
        return out

    def read(self, frames: np.ndarray) -> np.ndarray:
        """Return frames in their units, float32 of shape (n, channels, y, x), NaN where missing."""
        return self.unpack(self.packed(frames))

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Return packed values in their units, float32, NaN where missing."""
        scale = np.array([c.scale for c in self.channels], np.float32)[:, None, None]
        offset = np.array([c.minimum for c in self.channels], np.float32)[:, None, None]
        values = packed.astype(np.float32) * scale + offset
        values[packed == FILL] = np.nan
        return values

    def centred(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return frames about the middles of their channels' ranges, and where they have values.

        Sums keep their digits about the middle; about zero they may not.

        Returns
        -------
        values : float32 of shape (n, channels, y, x)
            In the channels' units, zero where missing.
        valid : bool, the same shape
        """
        packed = self.packed(frames)
        valid = packed != FILL
        values = packed.astype(np.float32)
        values -= np.float32((LEVELS - 1) / 2)
        values *= np.array([c.scale for c in self.channels], np.float32)[:, None, None]
        values[~valid] = 0
        return values, valid

    def moments(self, frames: np.ndarray) -> np.ndarray:
        """Return number, sum and sum of squares of the valid pixels of each frame and channel.

        Returns
        -------
        float64 of shape (n, channels, 3)
            In the channels' units, about the middles of their ranges.
        """
        found = np.empty((len(frames), self.shape[1], 3))
        start = 0
        for batch in self.batches(frames):
            found[start : start + len(batch)] = frame_moments(*self.centred(batch))
            start += len(batch)
        return found

    def block_means(self, frames: np.ndarray, side: int) -> np.ndarray:
        """Return the frames' means over blocks, as :func:`block_means`, in the channels' units."""
        if side >= max(self.shape[2:]):
            return self.read(frames)
        return self.in_units(block_means(*self.centred(frames), side))

    def in_units(self, centred: np.ndarray) -> np.ndarray:
        """Return values about the middles of the channels' ranges as they are; overwrites them."""
        centred += np.array([c.middle for c in self.channels], np.float32)[:, None, None]
        return centred

    def batches(self, frames: np.ndarray, megabytes: float = 64) -> Iterator[np.ndarray]:
        """Yield positions of frames in their order, in parts whose values fill ``megabytes``."""
        size = max(1, int(megabytes * 1e6 // (4 * np.prod(self.shape[1:]))))
        for start in range(0, len(frames), size):
            yield np.asarray(frames[start : start + size])


def _channel(name: str, attributes: Mapping[str, Any]) -> Channel:
    low, scale = float(attributes["add_offset"]), float(attributes["scale_factor"])
    return Channel(
        name,
        str(attributes["units"]),
        str(attributes.get("long_name", name)),
        low,
        low + scale * (LEVELS - 1),
    )


def frame_moments(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return number, sum and sum of squares of valid pixels, float64 of shape (n, channels, 3).

    Parameters
    ----------
    values
        Shape (n, channels, y, x), zero where missing.
    valid
        bool, the same shape.
    """
    # Rows in single precision, their sums in double.
    rows = (values.sum(axis=-1), np.einsum("...x,...x->...", values, values))
    sums = [np.count_nonzero(valid, axis=(2, 3)), *(row.sum(axis=-1, dtype=float) for row in rows)]
    return np.stack(sums, axis=-1).astype(float)


def block_means(values: np.ndarray, valid: np.ndarray, side: int) -> np.ndarray:
    """Return means over a grid of nearly square blocks, NaN where too few pixels are valid.

    Parameters
    ----------
    values
        Shape (n, channels, y, x), zero where missing.
    valid
        bool, the same shape or with one channel for all.
    side
        Blocks along the longer side; an image that is no larger keeps its pixels.

    Returns
    -------
    float32 of shape (n, channels, rows, columns)
    """
    sizes = values.shape[2:]
    counts = [max(1, min(size, round(side * size / max(sizes)))) for size in sizes]
    if tuple(counts) == sizes:
        return np.where(valid, values, np.float32(np.nan))
    edges = [
        np.linspace(0, s, n + 1).round().astype(int) for s, n in zip(sizes, counts, strict=True)
    ]

    def sums(array: np.ndarray) -> np.ndarray:
        of_rows = np.add.reduceat(array, edges[1][:-1], axis=-1, dtype=np.float32)
        return np.add.reduceat(of_rows, edges[0][:-1], axis=-2)

    pixels = np.diff(edges[0])[:, None] * np.diff(edges[1])
    number = sums(valid)
    means = sums(values) / np.maximum(number, 1)
    return np.where(number >= _LEAST_VALID * pixels, means, np.float32(np.nan))
