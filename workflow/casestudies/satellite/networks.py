"""Encoders that are trained: four autoencoders on one small convolutional architecture.

- ``Autoencoder`` reproduces the image that it is given.
- ``MaskedAutoencoder`` reproduces it with patches hidden (He et al. 2022, arXiv:2111.06377).
- ``VariationalAutoencoder`` has a Gaussian latent (Kingma and Welling 2014, arXiv:1312.6114), its
  noise level fitted to the error rather than set (Rybkin et al. 2021, arXiv:2006.13202).
- ``TemporalAutoencoder`` reproduces an image of a few hours before or after: noise and clouds are
  not the same there, the slow state is (as Noise2Noise learns from a second noisy copy, Lehtinen
  et al. 2018, arXiv:1803.04189).

Missing pixels enter as zeros beside a mask, and only valid pixels count in the loss. The last tenth
of the training frames in time is set aside and its loss followed; the number of steps is fixed
beforehand, not chosen by it.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from casestudies.errors import InputError
from casestudies.satellite.architectures import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Geometry,
)
from casestudies.satellite.images import Images
from casestudies.satellite.loader import Decoder, Loader, Pool
from casestudies.satellite.objective import masked_error, seen, with_mask
from casestudies.satellite.standardise import Standardiser
from casestudies.steps import progress
from casestudies.training.checkpoint import (
    Checkpoint,
    fingerprint,
    optimizer_tensors,
    restore_optimizer,
)
from casestudies.training.device import device as find_device
from casestudies.training.device import generator, precision, set_threads
from casestudies.training.schedule import evaluation_steps, make_optimizer, set_rate

log = logging.getLogger("casestudies")
_STEP, _NOISE = 1, 2  # purposes of random numbers; 0 is the loader's
_VALIDATION_FRAMES = 256  # of those set aside, the most that one evaluation uses
_ORDER_FRAMES = 2048  # at most, from which the axes of the latent are found
_PIXELS = 1 << 24  # of all frames of a batch together: bounds memory where frames are large


class Autoencoder:
    """A convolutional autoencoder; see :class:`casestudies.satellite.registry.Encoder`.

    Parameters
    ----------
    latent
        Length of the latent.
    width
        Channels of the first level.
    steps
        Gradient steps.
    batch
        Frames of a step (fewer where frames are very large).
    learning_rate
        Highest learning rate (one cycle: up over a fifth of the steps, then down by a cosine).
    weight_decay
        Decoupled weight decay of matrices and kernels.
    memory_mb
        Packed frames up to this size are kept in memory; more are streamed.
    """

    def __init__(
        self,
        *,
        latent: int = 16,
        width: int = 16,
        steps: int = 1000,
        batch: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        memory_mb: float = 1000.0,
    ) -> None:
        self.settings: dict[str, Any] = {
            "latent": latent,
            "width": width,
            "steps": steps,
            "batch": batch,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "memory_mb": memory_mb,
        }
        for name, value in self.settings.items():
            if not value >= (0 if name == "weight_decay" else 1e-12):
                raise InputError(f"{type(self).__name__}: {name} is {value}; it must be positive.")
        self.parameters = 0
        self.curves: list[dict[str, float]] = []
        self.where = torch.device("cpu")

    # What the kinds of autoencoder differ in.

    def _outputs(self) -> int:
        """Return the length of the encoder's output in training."""
        return self.settings["latent"]

    def _loss(
        self,
        output: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor,
        noise: torch.Generator | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss to be minimised and the mean squared error over valid pixels."""
        error = masked_error(self.decoder(output), target, valid)
        return error, error

    def _hide(self, mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Return the mask (n, 1, y, x) of what the encoder is shown in training."""
        return mask

    def _targets(
        self, pool: Pool, times: np.ndarray, rows: np.ndarray, rng: np.random.Generator | None
    ) -> np.ndarray:
        """Return the rows of the pool to be reproduced from ``rows``; ``times`` are the pool's."""
        return rows

    # The interface.

    def fit(
        self,
        images: Images,
        frames: np.ndarray,
        seed: int,
        *,
        device: str = "cpu",
        threads: int = 1,
        checkpoint: Path | None = None,
        checkpoint_every: float = 60.0,
        label: str = "encoder",
    ) -> None:
        """Train on ``frames``; see :class:`casestudies.satellite.registry.Encoder`."""
        frames = np.sort(np.asarray(frames))
        if len(frames) < 2:
            raise InputError(f"{images.path}: a network needs two frames to train; got 1.")
        set_threads(threads)
        self.where = find_device(device)
        self.standardiser = Standardiser.fit(images, frames)
        self._build(Geometry.of(*images.shape[1:]), self._outputs(), seed)
        held = max(1, len(frames) // 10)
        identity = fingerprint(
            [type(self).__name__, self.settings, seed, list(images.shape), self.where.type],
            frames,
            *self.standardiser.arrays().values(),
        )
        saved = None if checkpoint is None else Checkpoint(checkpoint, identity, checkpoint_every)
        self._train(images, frames[:-held], frames[-held:], seed, saved, label)
        self._order(images, frames)
        self.parameters = sum(value.numel() for value in self.encoder.parameters())
        self.parameters += 2 * images.shape[1]

    def transform(self, images: Images, frames: np.ndarray) -> np.ndarray:
        """Return the latents of ``frames``, float32 of shape (n, latent)."""
        decode = Decoder(images, self.standardiser, self.where)
        size = self._batch(images)
        found = [np.empty((0, self.settings["latent"]), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(frames), size):
                packed = images.packed(frames[start : start + size])
                values, valid = decode(torch.from_numpy(packed.view(np.int16)).to(self.where))
                with precision(self.where):
                    latents = self.encoder(with_mask(values, seen(valid)))
                found.append(latents[:, : self.settings["latent"]].float().cpu().numpy())
        return np.concatenate(found)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the standardised images, (n, channels, y, x), of latents (n, latent)."""
        with torch.inference_mode():
            images = self.decoder(torch.as_tensor(latents, dtype=torch.float32, device=self.where))
        return images.cpu().numpy()

    def reconstruct(self, images: Images, frames: np.ndarray) -> np.ndarray:
        """Return the standardised reconstructions of frames, (n, channels, y, x)."""
        return self.decode(self.transform(images, frames))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, standardisation and the shape of an image."""
        geometry = self.geometry
        tensors = {**_named("encoder", self.encoder), **_named("decoder", self.decoder)}
        return {
            "shape": np.array([geometry.channels, geometry.height, geometry.width]),
            **self.standardiser.arrays(),
            **{name: value.detach().cpu().numpy() for name, value in tensors.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Self:
        """Return the fitted encoder with these arrays and settings, on the CPU."""
        encoder = cls(**settings)
        encoder.standardiser = Standardiser.from_arrays(arrays)
        encoder._build(Geometry.of(*map(int, arrays["shape"])), encoder.settings["latent"], 0)
        with torch.no_grad():
            for part in ("encoder", "decoder"):
                for name, value in _named(part, getattr(encoder, part)).items():
                    value.copy_(torch.from_numpy(np.array(arrays[name])))
        encoder.parameters = sum(value.numel() for value in encoder.encoder.parameters())
        encoder.parameters += 2 * encoder.geometry.channels
        return encoder

    # Training.

    def _build(self, geometry: Geometry, outputs: int, seed: int) -> None:
        self.geometry = geometry
        width, latent = self.settings["width"], self.settings["latent"]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
            self.encoder = ConvolutionalEncoder(geometry, width, outputs)
            self.decoder = ConvolutionalDecoder(geometry, width, latent)
        layout = torch.channels_last if self.where.type == "cuda" else torch.contiguous_format
        self.encoder.to(self.where, memory_format=layout)
        self.decoder.to(self.where, memory_format=layout)

    def _batch(self, images: Images) -> int:
        pixels = images.shape[2] * images.shape[3]
        return max(1, min(self.settings["batch"], _PIXELS // (images.shape[1] * pixels)))

    def _train(
        self,
        images: Images,
        frames: np.ndarray,
        held: np.ndarray,
        seed: int,
        saved: Checkpoint | None,
        label: str,
    ) -> None:
        """Minimise the loss on ``frames``; follow it on ``held``."""
        steps, batch = self.settings["steps"], self._batch(images)
        decode = Decoder(images, self.standardiser, self.where)
        loader = Loader(images, frames, self.where, self.settings["memory_mb"])
        checked = loader.load(held[: min(_VALIDATION_FRAMES, loader.capacity)])
        hours = (images.times - images.times[0]).astype(np.float64) / 3600
        weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = make_optimizer(
            weights, self.settings["learning_rate"], self.settings["weight_decay"]
        )
        start, running = 0, torch.zeros((), device=self.where)
        tensors = {**_named("encoder", self.encoder), **_named("decoder", self.decoder)}
        state = saved.load() if saved else None
        if state is not None:
            stored, scalars = state
            with torch.no_grad():
                for name, value in tensors.items():
                    value.copy_(stored[name])
                running.copy_(stored["running"])
            restore_optimizer(optimizer, stored)
            start, self.curves = int(scalars["step"]), list(scalars["curves"])
            log.info("%s: goes on from step %d of %d", label, start, steps)
        shown = evaluation_steps(steps)
        since = max([0, *(done for done in shown if done <= start)])
        found = loader.batches(seed, batch, start, steps)
        for step, pool, rows in progress(found, label, steps - start):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STEP, step)))
            noise = generator(seed, _NOISE, step)
            set_rate(optimizer, self.settings["learning_rate"], step, steps)
            loss, error = self._losses(decode, pool, rows, hours, rng, noise)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            running += error.detach()
            done = step + 1
            if done in shown:
                self.curves.append(
                    {
                        "step": done,
                        "training_loss": float(running) / (done - since),
                        "validation_loss": self._validate(decode, checked, hours, batch),
                    }
                )
                running.zero_()
                since = done
            # A finished fit is kept as well: the folds after it may be killed.
            if saved and (done == steps or saved.due()):
                saved.save(
                    {**tensors, "running": running, **optimizer_tensors(optimizer)},
                    {"step": done, "curves": self.curves},
                )

    def _losses(
        self,
        decode: Decoder,
        pool: Pool,
        rows: np.ndarray,
        hours: np.ndarray,
        rng: np.random.Generator | None,
        noise: torch.Generator | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and error of some rows; nothing is random without ``rng`` and ``noise``."""
        values, valid = decode(pool.raw[torch.from_numpy(rows).to(self.where)])
        targets = self._targets(pool, hours[pool.frames], rows, rng)
        wanted, counted = values, valid
        if targets is not rows:
            wanted, counted = decode(pool.raw[torch.from_numpy(targets).to(self.where)])
        mask = seen(valid)
        if rng is not None:
            mask = self._hide(mask, rng)
        with precision(self.where):
            output = self.encoder(with_mask(values, mask))
            return self._loss(output, wanted, counted, noise)

    def _validate(self, decode: Decoder, pool: Pool, hours: np.ndarray, batch: int) -> float:
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(pool.frames), batch):
                rows = np.arange(start, min(start + batch, len(pool.frames)))
                total += float(self._losses(decode, pool, rows, hours, None, None)[1]) * len(rows)
        return total / len(pool.frames)

    def _order(self, images: Images, frames: np.ndarray) -> None:
        """Turn the latent to uncorrelated axes of descending variance, and the decoder with it."""
        latent = self.settings["latent"]
        some = np.unique(np.linspace(0, len(frames) - 1, _ORDER_FRAMES).astype(int))
        latents = self.transform(images, frames[some]).astype(np.float64)
        mean = latents.mean(axis=0)
        _, axes = np.linalg.eigh(np.cov(latents, rowvar=False).reshape(latent, latent))
        axes = axes[:, ::-1].copy()
        axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(latent)])  # one of two signs
        turn = torch.from_numpy(axes).to(self.where, torch.float32)
        centre = torch.from_numpy(mean).to(self.where, torch.float32)
        old, first = self.encoder.output, self.decoder.input
        with torch.no_grad():
            output = nn.Linear(old.in_features, latent, device=self.where)
            output.weight.copy_(turn.T @ old.weight[:latent])
            output.bias.copy_(turn.T @ (old.bias[:latent] - centre))
            first.bias.add_(first.weight @ centre)
            first.weight.copy_(first.weight @ turn)
        self.encoder.output = output


class MaskedAutoencoder(Autoencoder):
    """Reproduces images of which patches are hidden; settings as :class:`Autoencoder`, and

    Parameters
    ----------
    hidden
        Share of the patches that is hidden in training, 0 to 1.
    cells
        Patches along a side of the image.
    """

    def __init__(self, *, hidden: float = 0.5, cells: int = 6, **settings: Any) -> None:
        super().__init__(**settings)
        if not 0 <= hidden < 1 or cells < 1:
            raise InputError(
                f"MaskedAutoencoder: hidden is {hidden} and cells {cells}; give a share from 0 to "
                "below 1, and at least 1."
            )
        self.settings |= {"hidden": hidden, "cells": cells}

    def _hide(self, mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        cells = self.settings["cells"]
        shown = rng.random((len(mask), 1, cells, cells)) >= self.settings["hidden"]
        shown = torch.from_numpy(shown.astype(np.float32)).to(mask.device)
        return mask * functional.interpolate(shown, size=mask.shape[2:])


class VariationalAutoencoder(Autoencoder):
    """Gaussian latent with a standard normal prior; settings as :class:`Autoencoder`."""

    def _outputs(self) -> int:
        return 2 * self.settings["latent"]

    def _loss(
        self,
        output: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor,
        noise: torch.Generator | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mean, spread = output.float().chunk(2, dim=1)
        spread = spread.clamp(-10, 10)  # logarithm of the variance
        latent = mean
        if noise is not None:
            draw = torch.randn(mean.shape, generator=noise).to(mean.device)
            latent = mean + draw * (spread / 2).exp()
        error = masked_error(self.decoder(latent), target, valid)
        divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(dim=1).mean()
        values = valid.sum() / len(valid)
        return 0.5 * error.clamp(min=1e-8).log() + divergence / values.clamp(min=1), error


class TemporalAutoencoder(Autoencoder):
    """Reproduces another image of the same hours; settings as :class:`Autoencoder`, and

    Parameters
    ----------
    hours
        Furthest in time that the other image may be, or the usual distance between two frames
        where that is longer. An image without any other so near reproduces itself.
    """

    def __init__(self, *, hours: float = 3.0, **settings: Any) -> None:
        super().__init__(**settings)
        if not hours > 0:
            raise InputError(f"TemporalAutoencoder: hours is {hours}; it must be positive.")
        self.settings["hours"] = hours

    def _targets(
        self, pool: Pool, times: np.ndarray, rows: np.ndarray, rng: np.random.Generator | None
    ) -> np.ndarray:
        usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        reach = max(self.settings["hours"], usual) + 1e-6
        first = np.searchsorted(times, times[rows] - reach)
        others = np.searchsorted(times, times[rows] + reach) - first - 1
        # The k-th of the frames within reach, its own left out; the middle one if nothing is drawn.
        share = 0.5 if rng is None else rng.random(len(rows))
        chosen = first + np.floor(share * others).astype(np.int64)
        chosen += chosen >= rows
        return np.where(others > 0, chosen, rows)


def _named(part: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{part}.{name}": value for name, value in module.named_parameters()}
