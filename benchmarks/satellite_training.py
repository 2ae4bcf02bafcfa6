"""Speed and memory of the satellite study's training: loading, image size, number of frames.

Run ``python benchmarks/satellite_training.py`` (some minutes on two cores; ``--device cuda`` on a
GPU). Every case runs in a process of its own, so that its peak memory is its own. For the case's
image size it writes a series of random smooth fields and prints, for the plain autoencoder,

- seconds of a whole fit of one pass over the frames: their statistics, a training step for each
  batch, and the latents by which the axes are ordered;
- frames per second of training from frames in memory (resident), streamed from the store, and on
  one synthetic batch that is never loaded; and the first two over the third;
- peak resident memory of the process (getrusage; on a GPU also the most that PyTorch took there);
- the share of the roofline that the synthetic batch reaches: the time that operations and memory
  traffic would take at the device's peak, over the time taken. Give the device's peaks with
  ``--peak-tflops`` (of the precision used) and ``--peak-gbytes``; without them it is left out.

Last come the exponents of cost: of a frame in training against its pixels, and of a whole pass
against the number of frames, from the cases of one image size. On a CPU they are of processor time,
which other work on the machine disturbs less than the clock.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import zoom
from torch.utils.flop_counter import FlopCounterMode

from casestudies.satellite.architectures import Geometry
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.loader import Decoder, Loader, Pool
from casestudies.satellite.networks import Autoencoder
from casestudies.satellite.standardise import Standardiser
from casestudies.training.device import describe, set_threads
from casestudies.training.device import device as find_device
from casestudies.training.schedule import make_optimizer

CHANNELS = 4


def write_series(path: Path, frames: int, size: int, seed: int = 1) -> Images:
    """Write hourly frames of smooth random fields with a swath gap each."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    channels = [Channel(f"c{k}", "1", f"channel {k}", -12.0, 12.0) for k in range(CHANNELS)]
    axis = (np.arange(size), {"units": "1"})
    with ImageWriter(path, channels, frames, axis, axis) as writer:
        for hour in range(frames):
            coarse = rng.standard_normal((CHANNELS, 8, 8)).astype(np.float32)
            frame = np.stack([zoom(field, size / 8, order=1) for field in coarse])
            gap = int(rng.integers(size * 7 // 8))
            frame[:, :, gap : gap + size // 8] = np.nan
            writer.append(np.datetime64("2020-01-01T00", "h") + hour, frame)
    return Images(path)


def frames_per_second(
    encoder: Autoencoder,
    images: Images,
    frames: np.ndarray,
    seconds: float,
    kind: str,
) -> tuple[float, float]:
    """Train for some seconds; return frames per second, and the seconds that a frame costs.

    The latter are of the processor, on a GPU of the clock. The first pool is not counted.
    """
    where = encoder.where
    optimizer = make_optimizer(
        [*encoder.encoder.parameters(), *encoder.decoder.parameters()], 1e-3, 1e-2
    )
    decode = Decoder(images, encoder.standardiser, where)
    hours = (images.times - images.times[0]).astype(float) / 3600
    batch = encoder._batch(images)
    frame_megabytes = 2e-6 * np.prod(images.shape[1:])
    limit = encoder.settings["memory_mb"]
    if kind == "streaming":  # pools of at least two batches, but never the whole series
        limit = min(limit, max(8 * batch, len(frames) / 2) * frame_megabytes)
    loader = Loader(images, frames, where, limit)
    if kind == "streaming" and where.type == "cuda":
        loader.resident, loader.capacity = False, loader._pool
    found = loader.batches(0, batch, 0, 10**9)
    if kind == "synthetic":
        _, pool, rows = next(found)
        only = Pool(pool.frames[rows], pool.raw[torch.from_numpy(rows).to(where)])
        found = ((step, only, np.arange(len(rows))) for step in range(10**9))
    spent = time.perf_counter if where.type == "cuda" else time.process_time
    done, start, spent_before = 0, None, 0.0
    for step, pool, rows in found:
        rng = np.random.default_rng(step)
        loss, _ = encoder._losses(decode, pool, rows, hours, rng, None)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if where.type == "cuda" and step % 16 == 0:
            torch.cuda.synchronize()
        now = time.perf_counter()
        if start is None:
            if step >= 2:
                start, spent_before = now, spent()
            continue
        done += len(rows)
        if now - start > seconds:
            break
    if where.type == "cuda":
        torch.cuda.synchronize()
    cost = (spent() - spent_before) / done
    rate = done / (time.perf_counter() - start)
    found.close()
    return rate, cost


def operations(encoder: Autoencoder, images: Images) -> tuple[float, float]:
    """Return the operations, and the least bytes moved, of a training step per frame.

    Bytes: every layer's input and output once forward and twice backward, in the precision used.
    """
    moved = 0
    size = 2 if encoder.where.type == "cuda" else 4

    def count(_module, inputs, output) -> None:
        nonlocal moved
        moved += 3 * size * (inputs[0].numel() + output.numel())

    layers = [*encoder.encoder.layers, *encoder.decoder.layers]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    values = torch.zeros(1, CHANNELS + 1, *images.shape[2:], device=encoder.where)
    with FlopCounterMode(display=False) as counter:
        encoder.decoder(encoder.encoder(values)).sum().backward()
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), float(moved)


def peak_gigabytes() -> float:
    """Return the most memory that this process has had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def case(options: argparse.Namespace) -> dict[str, float]:
    """Measure one image size, number of frames and way of loading."""
    where = find_device(options.device)
    set_threads(options.threads)
    images = Images(Path(options.series))
    encoder = Autoencoder(batch=options.batch, memory_mb=options.memory_mb)
    frames = np.arange(images.shape[0])
    found: dict[str, float] = {}
    if options.case == "fit":
        encoder.settings["steps"] = -(-len(frames) // encoder._batch(images))
        start, spent_before = time.perf_counter(), time.process_time()
        encoder.fit(images, frames, 0, device=where.type)
        found["seconds"] = time.perf_counter() - start
        found["cost"] = (
            found["seconds"] if where.type == "cuda" else time.process_time() - spent_before
        )
        found["steps"] = encoder.settings["steps"]
        found["last_loss"] = encoder.curves[-1]["training_loss"]
    else:
        encoder.where = where
        encoder.standardiser = Standardiser(np.zeros(CHANNELS, "f4"), np.ones(CHANNELS, "f4"))
        encoder._build(Geometry.of(*images.shape[1:]), encoder.settings["latent"], 0)
        found["rate"], found["cost"] = frames_per_second(
            encoder, images, frames, options.seconds, options.case
        )
        found["flops"], found["bytes"] = operations(encoder, images)
    found["peak_gb"] = peak_gigabytes()
    if where.type == "cuda":
        found["peak_gpu_gb"] = torch.cuda.max_memory_allocated() / 1024**3
    return found


def run_case(name: str, series: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run one case in a process of its own."""
    command = [sys.executable, __file__, "--case", name, "--series", str(series)]
    for key in ("device", "threads", "batch", "seconds", "memory_mb"):
        command += [f"--{key.replace('_', '-')}", str(getattr(options, key))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def exponent(costs: dict[int, float]) -> float:
    """Return the slope of the logarithm of cost on that of size."""
    return float(np.polyfit(np.log(list(costs)), np.log(list(costs.values())), 1)[0])


def main() -> None:
    """Print a table of all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5, help="of each measured training")
    parser.add_argument("--memory-mb", type=float, default=1000)
    parser.add_argument(
        "--series-of",
        nargs="+",
        default=["48x1000", "48x2000", "48x4000", "250x400", "500x100", "1000x40", "2000x12"],
        help="pixels along a side x frames",
    )
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--peak-gbytes", type=float)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--series", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(options)))
        return
    print(describe(find_device(options.device)), f"{options.threads} threads")
    pixels: dict[int, float] = {}
    passes: dict[int, dict[int, float]] = {}
    for text in options.series_of:
        size, frames = map(int, text.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            series = Path(folder) / "images.zarr"
            write_series(series, frames, size)
            cases = ("synthetic", "resident", "streaming", "fit")
            found = {name: run_case(name, series, options) for name in cases}
        best = found["synthetic"]["rate"]
        line = f"{size}x{size}x{CHANNELS}, {frames} frames:"
        for name in cases[:3]:
            rate = found[name]["rate"]
            line += f" {name} {rate:.3g}/s ({rate / best:.2f}), {found[name]['peak_gb']:.2f} GB;"
        fit = found["fit"]
        line += (
            f" fit of {fit['steps']} steps {fit['seconds']:.1f} s, {fit['peak_gb']:.2f} GB;"
            f" {found['synthetic']['flops'] / 1e9:.3g} GFLOP a frame"
        )
        if options.peak_tflops and options.peak_gbytes:
            ideal = max(
                found["synthetic"]["flops"] / (options.peak_tflops * 1e12),
                found["synthetic"]["bytes"] / (options.peak_gbytes * 1e9),
            )
            line += f"; {ideal * best:.2f} of the roofline"
        if "peak_gpu_gb" in fit:
            line += f"; GPU memory {fit['peak_gpu_gb']:.1f} GB"
        print(line, flush=True)
        pixels[size**2] = found["synthetic"]["cost"]
        passes.setdefault(size, {})[frames] = fit["cost"]
    if len(pixels) > 1:
        print(f"cost of a frame in training ~ pixels^{exponent(pixels):.2f}")
    for size, costs in passes.items():
        if len(costs) > 1:
            print(f"cost of a pass at {size}x{size} ~ frames^{exponent(costs):.2f}")


if __name__ == "__main__":
    main()
