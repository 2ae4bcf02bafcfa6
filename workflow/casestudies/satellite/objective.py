"""What the networks of this study share: masked input and loss."""

import torch


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
