"""Convolutional encoder and decoder whose depth follows the size of the image.

The stem turns patches of the image into channels in one strided convolution (space to depth), which
is where a large image would otherwise cost the most; levels of strided convolutions then bring any
image to a grid of about seven by seven cells, and a linear layer to the latent. The decoder is the
mirror image.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import nn
from torch.nn import functional

_GRID = 7.0  # cells along a side that the levels aim at
_WIDEST = 8  # channels of the deepest level, in widths of the first


@dataclass(frozen=True)
class Geometry:
    """How an image is divided.

    Attributes
    ----------
    channels
        Channels of the image, without the mask.
    height, width
        Pixels.
    patch
        Pixels along the side of a patch of the stem.
    levels
        Halvings after the stem.
    """

    channels: int
    height: int
    width: int
    patch: int
    levels: int

    @classmethod
    def of(cls, channels: int, height: int, width: int) -> Self:
        """Return the geometry for images of (channels, height, width)."""
        patch = 4 if min(height, width) >= 24 else 2
        side = math.sqrt(math.ceil(height / patch) * math.ceil(width / patch))
        return cls(channels, height, width, patch, max(0, round(math.log2(side / _GRID))))

    @property
    def grid(self) -> tuple[int, int]:
        """Cells of the coarsest level, (rows, columns)."""
        step = self.patch * 2**self.levels
        return math.ceil(self.height / step), math.ceil(self.width / step)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns that are added (below, right) to fill the grid."""
        step = self.patch * 2**self.levels
        rows, columns = self.grid
        return rows * step - self.height, columns * step - self.width

    def widths(self, first: int) -> list[int]:
        """Return the channels after the stem and after each level."""
        return [first * min(2**level, _WIDEST) for level in range(self.levels + 1)]


class ConvolutionalEncoder(nn.Module):
    """Standardised image and mask, (n, channels + 1, y, x), to n vectors.

    Parameters
    ----------
    geometry
        Of the image.
    width
        Channels after the stem; doubled at every level, up to eightfold.
    outputs
        Length of the vectors.
    """

    def __init__(self, geometry: Geometry, width: int, outputs: int) -> None:
        super().__init__()
        self.padding = (0, geometry.padding[1], 0, geometry.padding[0])
        widths = geometry.widths(width)
        patch = geometry.patch
        layers: list[nn.Module] = [nn.Conv2d(geometry.channels + 1, width, patch, patch)]
        for before, after in pairwise(widths):
            layers += [nn.GELU(), nn.Conv2d(before, after, 3, 2, 1)]
        layers += [nn.GELU(), nn.Conv2d(widths[-1], widths[-1], 3, 1, 1), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        rows, columns = geometry.grid
        self.output = nn.Linear(widths[-1] * rows * columns, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the vectors, (n, outputs)."""
        if any(self.padding):
            images = functional.pad(images, self.padding)
        return self.output(self.layers(images).flatten(1))


class ConvolutionalDecoder(nn.Module):
    """Latents, (n, latent), to standardised images, (n, channels, y, x)."""

    def __init__(self, geometry: Geometry, width: int, latent: int) -> None:
        super().__init__()
        self.size = (geometry.height, geometry.width)
        widths = geometry.widths(width)
        self.grid = (widths[-1], *geometry.grid)
        self.input = nn.Linear(latent, math.prod(self.grid))
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in pairwise(widths[::-1]):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1), nn.GELU()]
        patch = geometry.patch
        layers += [nn.Conv2d(widths[0], geometry.channels * patch**2, 1), nn.PixelShuffle(patch)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the images."""
        cells = self.input(latents).unflatten(1, self.grid)
        return self.layers(cells)[..., : self.size[0], : self.size[1]]
