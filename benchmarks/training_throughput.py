"""How fast the networks train, and what part of the device's own speed that is.

Run ``python benchmarks/training_throughput.py`` (two minutes on a core; ``--device cuda`` on a
GPU). For each network of the studies, at the size that the default configuration gives it, one
gradient step on data that lie in memory is repeated, and printed are

- samples per second (frames, terrains, or rows times networks);
- arithmetic operations per second, and what part that is of a large matrix product in the same
  number format on the same device: PyTorch counts the operations of products and convolutions, but
  not those of Fourier transforms;
- bytes per second that the operations read and write, counted at every call to PyTorch's own
  operations, and what part that is of copying a large array: above 1, caches serve again what was
  just written.

A network that is near 1 in neither waits for the calls themselves: small tensors. Seconds are of
the processor on a CPU, where one thread is used and other work must not count, and of the clock on
a GPU.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from casestudies.config.satellite import Cnn, Network
from casestudies.config.wind import Tile, Training
from casestudies.glacier.networks import paper_architecture
from casestudies.satellite.architectures import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Geometry,
)
from casestudies.satellite.supervised import CnnSettings, Regressor
from casestudies.training.device import describe, precision, set_threads
from casestudies.training.device import device as find_device
from casestudies.training.ensemble import Architecture, Layer, StackedNetworks
from casestudies.training.schedule import make_optimizer
from casestudies.wind.flows import Grid
from casestudies.wind.networks import Surrogate

Step = tuple[Callable[[], None], int]
"""A gradient step, and the samples that it is made on."""


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [
                one for one in tree_leaves((args, kwargs, found)) if isinstance(one, torch.Tensor)
            ]
            self.bytes += sum(one.numel() * one.element_size() for one in tensors)
        return found


def autoencoder(where: torch.device, pixels: int) -> Step:
    """The autoencoder of the satellite study."""
    chosen, geometry = Network(), Geometry.of(4, pixels, pixels)
    batch = max(1, min(chosen.batch, (1 << 24) // (4 * pixels**2)))
    parts = [
        ConvolutionalEncoder(geometry, chosen.width, chosen.latent),
        ConvolutionalDecoder(geometry, chosen.width, chosen.latent),
    ]
    if where.type == "cuda":
        parts = [part.to(where, memory_format=torch.channels_last) for part in parts]
    optimizer = make_optimizer([p for part in parts for p in part.parameters()], 1e-3, 1e-2)
    images = torch.randn(batch, 5, pixels, pixels, device=where)

    def step() -> None:
        with precision(where):
            found = parts[1](parts[0](images))
        _descend((found.float() - images[:, :4]).square().mean(), optimizer)

    return step, batch


def cnn(where: torch.device, pixels: int) -> Step:
    """The end-to-end network of the satellite study."""
    chosen = Cnn()
    network = Regressor(Geometry.of(4, pixels, pixels), CnnSettings(width=chosen.width), 4)
    network.to(where)
    optimizer = make_optimizer(network.parameters(), 1e-3, 0.1)
    images = torch.randn(chosen.batch, 5, pixels, pixels, device=where)
    beside = torch.randn(chosen.batch, 4, device=where)

    def step() -> None:
        with precision(where):
            found = network(images, beside)
        _descend(found.float().square().mean(), optimizer)

    return step, chosen.batch


def surrogate(where: torch.device, name: str) -> Step:
    """A network of the wind study."""
    tile, chosen = Tile(), Training()
    edge = round(tile.cells * tile.fringe)
    inside = (edge, tile.cells - edge)
    grid = Grid((tile.cells,) * 2, (inside, inside), tuple(tile.heights), tile.spacing, tile.fringe)
    network = Surrogate(name, grid, chosen.width).to(where)
    if name.startswith("unet"):
        network.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network.parameters(), 1e-3, 1e-2)
    outputs = 3 * len(tile.heights)
    channels = 3 + (outputs if name.endswith("corrected") else 0)
    maps = torch.randn(chosen.batch, channels, *grid.shape, device=where)
    roughness = torch.randn(chosen.batch, device=where)

    def step() -> None:
        _descend(network(maps, roughness).square().mean(), optimizer)

    return step, chosen.batch


def stacked(where: torch.device, architecture: Architecture, count: int, batch: int) -> Step:
    """Small networks trained at once, as in the studies of glaciers and of the lecture."""
    features = 34
    networks = StackedNetworks(architecture, features, range(count)).to(where)
    leaves = [networks.weights, networks.others]
    optimizer = torch.optim.AdamW(leaves, 1e-3, fused=True)
    rows = torch.randn(count, features, batch, device=where)

    def step() -> None:
        _descend(networks(rows, {}).square().mean(dim=1).sum(), optimizer)

    return step, count * batch


def _descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def seconds_of(step: Callable[[], None], where: torch.device, least: float) -> float:
    """Return the seconds of a step: the median over several repetitions."""
    clock = time.perf_counter if where.type == "cuda" else time.process_time

    def run(count: int) -> float:
        start = clock()
        for _ in range(count):
            step()
        if where.type == "cuda":
            torch.cuda.synchronize()
        return (clock() - start) / count

    run(2)
    count = max(1, int(least / 5 / max(run(1), 1e-6)))
    return float(np.median([run(count) for _ in range(5)]))


def peaks(where: torch.device, least: float) -> tuple[float, float]:
    """Return operations per second of a matrix product, and bytes per second of a copy."""
    size, number = (8192, torch.bfloat16) if where.type == "cuda" else (1024, torch.float32)
    left, right = (torch.randn(size, size, device=where, dtype=number) for _ in range(2))
    source = torch.randn((1 << 28 if where.type == "cuda" else 1 << 25), device=where)
    target = torch.empty_like(source)
    product = seconds_of(lambda: torch.mm(left, right), where, least)
    copy = seconds_of(lambda: target.copy_(source), where, least)
    return 2 * size**3 / product, 2 * source.numel() * source.element_size() / copy


def main() -> None:
    """Print a table of all networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--pixels", type=int, nargs="+", default=[48, 250], help="of an image")
    options = parser.parse_args()
    where = find_device(options.device)
    set_threads(1)
    torch.manual_seed(0)
    hidden = tuple(Layer(width, negative_slope=0.0) for width in (64, 32))
    cases: dict[str, Callable[[], Step]] = {}
    for pixels in options.pixels:
        cases[f"autoencoder, {pixels}²"] = lambda pixels=pixels: autoencoder(where, pixels)
        cases[f"cnn, {pixels}²"] = lambda pixels=pixels: cnn(where, pixels)
    for name in ("unet", "unet_corrected", "fno", "fno_corrected"):
        cases[name] = lambda name=name: surrogate(where, name)
    count = 4096 if where.type == "cuda" else 64
    paper = paper_architecture("glacier")
    cases[f"{count} paper networks"] = lambda: stacked(where, paper, count, 32)
    cases[f"{count} perceptrons 64-32"] = lambda: stacked(where, Architecture(hidden), count, 128)
    most, fastest = peaks(where, options.seconds)
    print(describe(where))
    print(f"matrix product {most / 1e9:.1f} GFLOP/s, copy {fastest / 1e9:.1f} GB/s")
    print("| network | samples/s | GFLOP/s | of a product | GB/s | of a copy |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, make in cases.items():
        step, samples = make()
        step()
        with FlopCounterMode(display=False) as counter:
            step()
        with Traffic() as traffic:
            step()
        took = seconds_of(step, where, options.seconds)
        rate, moved = counter.get_total_flops() / took, traffic.bytes / took
        print(
            f"| {name} | {samples / took:.4g} | {rate / 1e9:.3g} | {rate / most:.2f} "
            f"| {moved / 1e9:.3g} | {moved / fastest:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
