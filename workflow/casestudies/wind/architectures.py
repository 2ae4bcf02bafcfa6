"""A U-Net and a Fourier neural operator, both from a whole terrain to the flow in its interior.

The fringe of a terrain is flat at its edge. It is what both need around the interior: the U-Net to
see beyond it, the Fourier layers, which are periodic, to keep one end from reaching the other.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from casestudies.wind.flows import Grid

_LEVELS = 4
_WIDEST = 4  # channels of the deepest level, in widths of the first
_LAYERS = 3
_SHORTEST = 4.0  # wave length of the last mode of a Fourier layer, in cells


class UNet(nn.Module):
    """Convolutions on ever coarser grids and back (Ronneberger et al. 2015, arXiv:1505.04597).

    At the finest level, where most of the work is, the way back is taken in the interior alone.

    Parameters
    ----------
    grid
        Of the terrains.
    inputs, outputs
        Channels.
    width
        Channels of the finest level; doubled at each coarser one, up to fourfold.
    """

    def __init__(self, grid: Grid, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        widths = [width * min(2**level, _WIDEST) for level in range(_LEVELS)]
        self.window = [_around(ends, n) for ends, n in zip(grid.interior, grid.shape, strict=True)]
        self.inner = [
            (ends[0] - start, ends[1] - ends[0])
            for ends, (start, _, _) in zip(grid.interior, self.window, strict=True)
        ]
        self.down = nn.ModuleList(
            Block(before, after, 1) for before, after in pairwise([inputs, *widths])
        )
        self.up = nn.ModuleList(
            Block(coarse + fine, fine, 1 if level else 0)
            for level, (fine, coarse) in enumerate(pairwise(widths))
        )
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, terrain: torch.Tensor) -> torch.Tensor:
        """Return (n, outputs, y, x) of the interior, for (n, inputs, ny, nx)."""
        (top, bottom, below), (left, right, beside) = self.window
        hidden = terrain[..., top:bottom, left:right]
        if below or beside:
            hidden = functional.pad(hidden, (0, beside, 0, below), mode="replicate")
        seen = []
        for level, block in enumerate(self.down):
            hidden = block(functional.avg_pool2d(hidden, 2) if level else hidden)
            seen.append(hidden)
        for level in range(len(self.up) - 1, -1, -1):
            hidden = functional.interpolate(hidden, scale_factor=2, mode="bilinear")
            fine = seen[level]
            if level == 0:
                hidden, fine = self._inside(hidden), self._inside(fine)
            hidden = self.up[level](torch.cat([hidden, fine], dim=1))
        return self.head(hidden)

    def _inside(self, values: torch.Tensor) -> torch.Tensor:
        """Return the interior and the two cells around it that the last convolutions use up."""
        (y, ny), (x, nx) = self.inner
        return values[..., y - 2 : y + ny + 2, x - 2 : x + nx + 2]


def _around(ends: tuple[int, int], cells: int) -> tuple[int, int, int]:
    """Return the window that the U-Net sees along a side: start, stop, and cells to be added."""
    step = 2 ** (_LEVELS - 1)
    margin = max(2, 2 * min(ends[0], cells - ends[1]) // 3)
    start, stop = ends[0] - margin, ends[1] + margin
    return start, stop, -(stop - start) % step


class Block(nn.Module):
    """Two convolutions beside a pointwise one (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, padding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=padding)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=padding)
        self.beside = nn.Conv2d(inputs, outputs, 1)
        self.lost = 2 - 2 * padding

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (n, outputs, y, x), smaller by two cells on each side if nothing is padded."""
        hidden = self.second(functional.gelu(self.first(values)))
        k = self.lost
        kept = values[..., k : values.shape[-2] - k, k : values.shape[-1] - k]
        return hidden + self.beside(kept)


class FNO(nn.Module):
    """A Fourier neural operator (Li et al. 2021, arXiv:2010.08895), in two dimensions.

    Beside the Fourier modes each layer has a convolution, for waves that are shorter (as the local
    operators of Liu-Schiaffini et al. 2024, arXiv:2402.16845), and adds to what it was given.

    Parameters
    ----------
    grid
        Of the terrains.
    inputs, outputs
        Channels.
    width
        Channels of every layer.
    """

    def __init__(self, grid: Grid, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.inside = grid.inside
        modes = [max(2, int(n / _SHORTEST)) for n in grid.shape]
        self.lift = nn.Conv2d(inputs, width, 1)
        self.spectral = nn.ModuleList(Spectral(width, modes) for _ in range(_LAYERS))
        self.local = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(_LAYERS))
        self.head = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.GELU(), nn.Conv2d(2 * width, outputs, 1)
        )

    def forward(self, terrain: torch.Tensor) -> torch.Tensor:
        """Return (n, outputs, y, x) of the interior, for (n, inputs, ny, nx)."""
        hidden = self.lift(terrain)
        for spectral, local in zip(self.spectral, self.local, strict=True):
            hidden = hidden + functional.gelu(spectral(hidden) + local(hidden))
        return self.head(hidden[self.inside])


class Spectral(nn.Module):
    """A linear map of the lowest Fourier modes, each with weights of its own."""

    def __init__(self, width: int, modes: Sequence[int]) -> None:
        super().__init__()
        self.modes = tuple(modes)
        # Real and imaginary parts apart: safetensors and optimisers know no complex numbers.
        shape = (2, 2 * self.modes[0] * self.modes[1], width, width)
        self.weights = nn.Parameter(torch.randn(shape) / width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (n, width, y, x) for the same."""
        rows, columns = self.modes
        n, width, *shape = values.shape
        # No half precision: its transforms ask for sizes that are powers of two.
        with torch.autocast(values.device.type, enabled=False):
            spectrum = torch.fft.rfft2(values.float(), norm="forward")
            low = torch.cat(
                [spectrum[..., :rows, :columns], spectrum[..., -rows:, :columns]], dim=2
            )
            weights = torch.complex(*self.weights)
            mixed = torch.bmm(low.flatten(2).permute(2, 0, 1), weights)
            mixed = mixed.permute(1, 2, 0).unflatten(2, (2 * rows, columns))
            full = spectrum.new_zeros((n, width, *spectrum.shape[2:]))
            full[..., :rows, :columns] = mixed[..., :rows, :]
            full[..., -rows:, :columns] = mixed[..., rows:, :]
            return torch.fft.irfft2(full, s=shape, norm="forward")
