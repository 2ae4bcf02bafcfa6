"""Frames for training: kept whole in memory where they fit, else streamed from the store.

Frames stay packed (16 bits) until a batch is decoded on the device, which halves memory and what
has to cross to a GPU. A series that is too large is read in pools: blocks of consecutive frames,
as they lie in the store, are shuffled, some are gathered in memory, and the frames of a pool are
shuffled in turn. A thread reads the next pool meanwhile.
"""

import itertools
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from casestudies.satellite.images import CHUNK_BYTES, FILL, Images
from casestudies.satellite.standardise import Standardiser

T = TypeVar("T")
_MIN_BLOCK = 8  # frames; enough that most have their neighbours in time beside them
_GPU_SHARE = 0.6  # of the free memory of a GPU that resident frames may take
_EPOCH = 0  # purpose of random numbers


class Decoder:
    """Turns packed frames into standardised ones, on the device.

    Parameters
    ----------
    images
        Their scales.
    standardiser
        Mean and standard deviation of the channels.
    where
        Device.
    """

    def __init__(self, images: Images, standardiser: Standardiser, where: torch.device) -> None:
        scale = np.array([channel.scale for channel in images.channels])
        offset = np.array([channel.minimum for channel in images.channels])
        factor = torch.from_numpy((scale / standardiser.std).astype(np.float32))
        shift = torch.from_numpy(((offset - standardiser.mean) / standardiser.std).astype("f4"))
        self.factor, self.shift = (v.view(-1, 1, 1).to(where) for v in (factor, shift))

    def __call__(self, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return standardised values, zero where missing, and what is valid (bool).

        Parameters
        ----------
        raw
            The bits of uint16 as int16, (n, channels, y, x).
        """
        levels = raw.to(torch.int32).bitwise_and_(int(FILL))
        valid = levels != int(FILL)
        values = levels.to(torch.float32).mul_(self.factor).add_(self.shift)
        return values.mul_(valid), valid


@dataclass(frozen=True)
class Pool:
    """Frames in memory.

    Attributes
    ----------
    frames
        Positions in the series, ascending, (n,).
    raw
        Their bits as int16 on the device, (n, channels, y, x).
    """

    frames: np.ndarray
    raw: torch.Tensor


class Loader:
    """Random batches of some frames of a series.

    Parameters
    ----------
    frames
        Positions, ascending.
    where
        Device.
    megabytes
        Packed frames up to this size are kept in memory; of a longer series, what is in memory at
        a time stays below it. On a GPU, frames that fit its memory are kept there.

    Attributes
    ----------
    resident
        Whether all frames are kept in memory.
    capacity
        Frames that may be in one pool.
    """

    def __init__(
        self, images: Images, frames: np.ndarray, where: torch.device, megabytes: float
    ) -> None:
        self.images, self.frames, self.where = images, np.asarray(frames), where
        frame_bytes = 2 * int(np.prod(images.shape[1:]))
        limit = megabytes * 1e6
        if where.type == "cuda":
            limit = max(limit, _GPU_SHARE * torch.cuda.mem_get_info(where)[0])
        self.resident = len(self.frames) * frame_bytes <= limit
        # The pool in use, the next one, and one being read with its temporary copy.
        self._pool = max(1, int(megabytes * 1e6 / 4 / frame_bytes))
        per_chunk = CHUNK_BYTES // (frame_bytes // images.shape[1])
        self._block = min(max(_MIN_BLOCK, per_chunk), self._pool)
        self.capacity = len(self.frames) if self.resident else self._pool
        self._all: Pool | None = None

    def load(self, frames: np.ndarray) -> Pool:
        """Read frames into one pool on the device."""
        shape = (len(frames), *self.images.shape[1:])
        raw = torch.empty(shape, dtype=torch.int16, device=self.where)
        # In parts: the packed frames and a copy of them never coexist, nor does a GPU's pool, which
        # may be larger than the machine's memory, pass through it as a whole.
        part = max(1, self._block)
        for start in range(0, len(frames), part):
            packed = torch.from_numpy(self.images.packed(frames[start : start + part]).view("i2"))
            if self.where.type == "cuda":
                packed = packed.pin_memory()
            raw[start : start + part].copy_(packed, non_blocking=True)
        return Pool(np.asarray(frames), raw)

    def plan(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the frames of one epoch's pools: whole blocks, in random order."""
        if self.resident:
            return [self.frames]
        edges = np.flatnonzero(np.diff(self.frames // self._block)) + 1
        blocks = np.split(self.frames, edges)
        pools: list[list[np.ndarray]] = [[]]
        for k in rng.permutation(len(blocks)):
            held = sum(map(len, pools[-1]))
            if held and held + len(blocks[k]) > self._pool:
                pools.append([])
            pools[-1].append(blocks[k])
        return [np.sort(np.concatenate(pool)) for pool in pools]

    def batches(
        self, seed: int, batch: int, start: int, stop: int
    ) -> Iterator[tuple[int, Pool, np.ndarray]]:
        """Yield (step, pool, positions in the pool) for the steps from ``start`` up to ``stop``.

        What a step gets depends on the seed and its number alone, so that a resumed run goes on as
        if never stopped.

        Parameters
        ----------
        batch
            Frames of a step, or a few less where a pool does not divide.
        """

        def wanted() -> Iterator[tuple[int, np.ndarray, list[np.ndarray]]]:
            step = 0
            for epoch in itertools.count():
                sequence = np.random.SeedSequence(seed, spawn_key=(_EPOCH, epoch))
                rng = np.random.default_rng(sequence)
                for frames in self.plan(rng):
                    count = -(-len(frames) // batch)
                    parts = np.array_split(rng.permutation(len(frames)), count)
                    if step + count > start:
                        yield step, frames, parts
                    step += count
                    if step >= stop:
                        return

        def pools() -> Iterator[tuple[int, Pool, list[np.ndarray]]]:
            for step, frames, parts in wanted():
                yield step, self.load(frames), parts

        if self.resident:
            if self._all is None:
                self._all = self.load(self.frames)
            found = ((step, self._all, parts) for step, _, parts in wanted())
        else:
            found = prefetched(pools())
        for first, pool, parts in found:
            for step, rows in enumerate(parts, start=first):
                if start <= step < stop:
                    yield step, pool, rows


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Iterate, the next item being made in a thread while the last one is used."""
    ready: queue.Queue = queue.Queue(maxsize=1)
    stopped = threading.Event()
    end = object()

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(end)
        except BaseException as error:  # raised again by whoever iterates
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


class HeldImages(Images):
    """Some frames of a series, read once and kept in memory, packed.

    Parameters
    ----------
    frames
        Positions in the series; no others can be read.
    """

    def __init__(self, images: Images, frames: np.ndarray) -> None:
        self.__dict__.update(images.__dict__)
        self._kept = np.unique(frames)
        self._values = images.packed(self._kept)

    def packed(self, frames: np.ndarray) -> np.ndarray:
        """Return frames as stored, uint16 of shape (n, channels, y, x)."""
        return self._values[np.searchsorted(self._kept, frames)]


def held(images: Images, frames: np.ndarray, megabytes: float) -> Images:
    """Return the series with ``frames`` in memory if they fit ``megabytes``, else as it is."""
    size = 2 * int(np.prod(images.shape[1:])) * len(np.unique(frames))
    return HeldImages(images, frames) if size <= megabytes * 1e6 else images
