"""Checkpoints of a training run: atomic, without pickle, exact on resume.

A checkpoint is one safetensors file: named tensors, and in its header a JSON object (numbers,
settings) with a digest of the tensors. The one before it is kept, in case the newest is damaged.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from casestudies.files import writing

log = logging.getLogger("casestudies")

State = tuple[dict[str, torch.Tensor], dict[str, Any]]


def fingerprint(settings: Any, *arrays: Any) -> str:
    """Return a digest of JSON-serialisable ``settings`` and of the values of ``arrays``.

    A checkpoint written under another fingerprint belongs to another run and is not resumed from.
    """
    digest = hashlib.sha256(json.dumps([settings, torch.__version__], sort_keys=True).encode())
    for array in arrays:
        values = torch.as_tensor(array).detach().cpu().contiguous()
        digest.update(f"{values.dtype}{tuple(values.shape)}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy() if values.numel() else b"")
    return digest.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the state of ``optimizer`` as named tensors (``<parameter>.<quantity>``)."""
    return {
        f"optimizer.{parameter}.{name}": value
        for parameter, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Give ``optimizer`` back the state that :func:`optimizer_tensors` returned."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, parameter, name = key.split(".", 2)
            state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    # A fused optimiser walks through memory: its state must lie there as the parameter does.
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                kept[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


class Checkpoint:
    """The checkpoint of one run.

    Parameters
    ----------
    path
        The file; the previous checkpoint is kept beside it with suffix ``.previous``.
    identity
        Fingerprint of everything that decides the result (see :func:`fingerprint`).
    every
        Seconds between two checkpoints.
    """

    def __init__(self, path: Path, identity: str, every: float = 60.0) -> None:
        self.path = Path(path)
        self.previous = self.path.with_suffix(self.path.suffix + ".previous")
        self.identity = identity
        self.every = every
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether ``every`` seconds have passed since the last checkpoint."""
        return time.monotonic() - self._saved >= self.every

    def save(self, tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, Any]) -> None:
        """Write a checkpoint; the one before it becomes the previous one."""
        stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        header = {
            "identity": self.identity,
            "scalars": json.dumps(dict(scalars)),
            "digest": _digest(stored),
        }
        with writing(self.path) as temporary:
            save_file(stored, temporary, header)
            # It may have gone: the step of a killed run may still be at work, and end.
            with suppress(FileNotFoundError):
                self.path.replace(self.previous)
        self._saved = time.monotonic()

    def load(self) -> State | None:
        """Return the tensors and scalars to resume from, or None to start from the beginning.

        A damaged checkpoint, or one of another run, is passed over with a line in the log.
        """
        there = [path for path in (self.path, self.previous) if path.is_file()]
        for path in there:
            try:
                with safe_open(path, framework="pt") as file:
                    header = file.metadata() or {}
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                scalars = json.loads(header["scalars"])
            except (SafetensorError, OSError, KeyError, ValueError) as error:
                log.warning("%s: damaged checkpoint, not used (%s)", path, error)
                continue
            if header.get("identity") != self.identity:
                log.warning("%s: checkpoint of other settings or data, not used", path)
            elif header.get("digest") != _digest(tensors):
                log.warning("%s: damaged checkpoint, not used (digest differs)", path)
            else:
                return tensors, scalars
        if there:
            log.warning("%s: no usable checkpoint; starting from the beginning", self.path)
        return None


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints below a folder, and the folders that this leaves empty."""
    for path in Path(folder).rglob("*.safetensors*"):
        path.unlink(missing_ok=True)
    for path in [*sorted(Path(folder).rglob("*"), reverse=True), Path(folder)]:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    names = sorted(tensors)
    return fingerprint(names, *(tensors[name] for name in names))
