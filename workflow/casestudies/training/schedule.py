"""Optimiser and learning rate along a training of known length."""

import math
from collections.abc import Iterable

import torch
from torch import nn

_WARM_UP = 0.2  # of the steps
_EVALUATIONS = 20


def make_optimizer(
    weights: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) that leaves vectors undecayed."""
    weights = list(weights)
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, learning_rate, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, highest: float, step: int, steps: int) -> None:
    """Set the learning rate of a step of one cycle: up by a line, then down by a cosine."""
    up = max(1.0, _WARM_UP * steps)
    if step < up:
        share = (step + 1) / (up + 1)
    else:
        share = 0.5 * (1 + math.cos(math.pi * (step - up) / max(1.0, steps - up)))
    for group in optimizer.param_groups:
        group["lr"] = highest * share


def evaluation_steps(steps: int, evaluations: int = _EVALUATIONS) -> list[int]:
    """Return after how many steps a training of ``steps`` is looked at, ascending."""
    wanted = (max(1, round(steps * k / evaluations)) for k in range(1, evaluations + 1))
    return list(dict.fromkeys(wanted))
