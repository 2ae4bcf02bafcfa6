"""What the networks of this study share: masked input and loss, optimiser, learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn

_WARM_UP = 0.2  # of the steps
_EVALUATIONS = 20


def seen(valid: torch.Tensor) -> torch.Tensor:
    """Return the share of channels that are valid, (n, 1, y, x), from (n, channels, y, x)."""
    return valid.to(torch.float32).mean(dim=1, keepdim=True)


def with_mask(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return an encoder's input: the values where the mask is not zero, and the mask."""
    return torch.cat([values * (mask > 0), mask], dim=1)


def masked_error(images: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error over valid pixels (zero if there is none)."""
    squares = (images.float() - target).square().mul(valid)
    return squares.sum() / valid.sum().clamp(min=1)


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
