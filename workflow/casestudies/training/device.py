"""Where a network is trained, how precisely, on how many threads, from which random numbers.

Convolutional networks compute in bfloat16 on a GPU (:func:`precision`): it has the exponents of
float32, so that gradients need no scaling. Weights, their optimiser, losses, Fourier transforms and
the small stacked networks (casestudies.training.ensemble) stay in float32; of these, PyTorch rounds
only the convolutions to TF32, and no matrix product. A GPU adds up in an order of its own, which
is not always the same: its results are those of the CPU within tolerance (tests/gpu), not to the
last digit.
"""

import platform

import numpy as np
import torch

from casestudies.errors import InputError, nearest

DEVICES = ("auto", "cpu", "cuda")
BFLOAT16 = ("cuda",)
"""Kinds of device on which convolutional networks compute in bfloat16."""


def device(name: str) -> torch.device:
    """Return the device called ``name``: auto (a GPU if there is one), cpu or cuda.

    Raises
    ------
    InputError
        If ``name`` is unknown, or is ``cuda`` where PyTorch sees no GPU: never a silent CPU run.
    """
    if name not in DEVICES:
        raise InputError(f"device {name!r} is unknown; {nearest(name, DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"
        raise InputError(
            f"device 'cuda' was asked for, but PyTorch {torch.__version__} ({build}) sees no GPU "
            "here; set training.device to 'auto' or 'cpu', or run on a machine with a GPU."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def describe(where: torch.device) -> dict[str, str]:
    """Return what provenance says of a device: kind, name, PyTorch version."""
    if where.type == "cuda":
        name = torch.cuda.get_device_name(where)
    else:
        name = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    return {"device": where.type, "device_name": name, "torch": torch.__version__}


def precision(where: torch.device) -> torch.autocast:
    """Return the context in which a convolutional network computes: bfloat16 where it pays."""
    return torch.autocast(
        where.type, torch.bfloat16, enabled=where.type in BFLOAT16, cache_enabled=False
    )


def set_threads(threads: int) -> None:
    """Use ``threads`` CPU threads inside each PyTorch operation.

    Raises
    ------
    InputError
        If ``threads`` is below 1.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}; give at least 1.")
    torch.set_num_threads(threads)


def generator(seed: int | np.random.SeedSequence, *key: int) -> torch.Generator:
    """Return a CPU generator that depends on ``seed`` and ``key`` alone.

    Keys (a fold, a member, an epoch) give streams that are independent of each other and of the
    order in which they are asked for: a resumed run needs no generator state, only its position.
    """
    sequence = (
        np.random.SeedSequence(
            entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key), pool_size=seed.pool_size
        )
        if isinstance(seed, np.random.SeedSequence)
        else np.random.SeedSequence(seed, spawn_key=key)
    )
    state = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(state)
