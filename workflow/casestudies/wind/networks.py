"""Networks that stand in for a costly flow model, and their training.

A network is shown the height of the ground above the mean of its edge, its slopes, the roughness
and where the fringe is. It gives what is to be added to the logarithmic profile, or, if it is a
corrected one, to the flow of a cheap model that it is shown, too: the flow is linear in the inflow
speed, and without hills it is the inflow.

Mirroring the terrain across the wind mirrors the flow. A network is trained on mirror images as
well, and predicts the mean of what it makes of both, so that its predictions have the symmetry
exactly.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from casestudies.config.wind import Training
from casestudies.errors import InputError, nearest
from casestudies.steps import progress
from casestudies.training.checkpoint import (
    Checkpoint,
    fingerprint,
    optimizer_tensors,
    restore_optimizer,
)
from casestudies.training.device import initial_weights, precision
from casestudies.training.schedule import evaluation_steps, make_optimizer, set_rate
from casestudies.validation import read_settings
from casestudies.wind import COMPONENTS
from casestudies.wind.architectures import FNO, UNet
from casestudies.wind.features import HEIGHT, cell_heights, edge_mean
from casestudies.wind.flow import log_profile
from casestudies.wind.flows import Flows, Grid
from casestudies.wind.terrain import slopes

log = logging.getLogger("casestudies")

CORRECTED = "_corrected"
KINDS: dict[str, type[nn.Module]] = {"unet": UNet, "fno": FNO}
NAMES = tuple(f"{kind}{suffix}" for kind in KINDS for suffix in ("", CORRECTED))

_WEIGHT_DECAY = 1e-2
_GRADIENT = 1.0
"""Gradients are cut to this norm: in relative units they are near it at the start."""
_FIRST = 0.1
"""Weights of the last layer at the start, over the usual: a start close to the inflow."""
_SLOPE = 0.25
_DEPARTURE = 0.2
"""Units of slopes (m per m) and of a cheap flow's departures from the inflow."""
_EVALUATIONS = 5
_JUDGED = 12
"""Terrains by which the error along a training is followed, at most."""
_CELLS = 1 << 19
"""Cells of the terrains that are predicted at once: bounds memory."""


def parse_settings(text: str) -> Training:
    """Return the settings of a network from JSON; what is not given has its default.

    Raises
    ------
    InputError
        If a key is unknown or a value out of range.
    """
    return read_settings(Training, text, "wind: settings of the network")


def check_name(name: str) -> None:
    """Refuse names that are no network's.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in NAMES:
        raise InputError(f"unknown network {name!r}; {nearest(name, NAMES)}")


# ------------------------------------------------------------------------ what a network is shown


@dataclass(frozen=True)
class Shown:
    """Terrains as a network is shown them, and what its output is added to.

    Parameters
    ----------
    maps
        (n, channels, ny, nx): height, slope along and across, and of the cheap flow, if any, its
        departures from the inflow, component by component.
    roughness
        Natural logarithm of the roughness length, (n,).
    base
        Inflow or cheap flow in the interior, (n, 3 * heights, y, x).
    """

    maps: torch.Tensor
    roughness: torch.Tensor
    base: torch.Tensor

    @classmethod
    def of(
        cls,
        grid: Grid,
        elevation: np.ndarray,
        roughness: np.ndarray,
        cheap: np.ndarray | None = None,
    ) -> Self:
        """Return terrains as they are shown.

        Parameters
        ----------
        elevation
            At nodes, (n, ny + 1, nx + 1), m.
        roughness
            Roughness length, (n,), m.
        cheap
            Flow of the cheap model, (n, 3, heights, ny, nx), to networks that correct it.
        """
        nodes = (elevation - edge_mean(elevation)).astype(np.float32)
        along, across = slopes(nodes, grid.spacing)
        maps = [cell_heights(nodes) / HEIGHT, along / _SLOPE, across / _SLOPE]
        inflow = np.zeros((len(nodes), len(COMPONENTS), len(grid.heights), 1, 1), np.float32)
        inflow[:, 0, :, 0, 0] = [log_profile(np.array(grid.heights), z0) for z0 in roughness]
        size = tuple(stop - start for start, stop in grid.interior)
        base = np.broadcast_to(inflow, (*inflow.shape[:3], *size))
        if cheap is not None:
            departures = ((cheap - inflow) / _DEPARTURE).reshape(len(nodes), -1, *grid.shape)
            maps += list(departures.swapaxes(0, 1))
            base = cheap[grid.inside]
        return cls(
            torch.from_numpy(np.stack(maps, axis=1).astype(np.float32)),
            torch.from_numpy(np.log(roughness).astype(np.float32)),
            torch.from_numpy(base.reshape(len(nodes), -1, *size).astype(np.float32)),
        )

    def to(self, where: torch.device) -> Self:
        """Return them on a device."""
        return type(self)(*(part.to(where) for part in (self.maps, self.roughness, self.base)))


def mirror_flow(flow: torch.Tensor) -> torch.Tensor:
    """Return flows (n, 3 * heights, y, x) mirrored across the wind."""
    return _mirror(flow, slice(flow.shape[1] // 3, 2 * flow.shape[1] // 3))


def mirror_maps(maps: torch.Tensor) -> torch.Tensor:
    """Return the maps of :class:`Shown` mirrored across the wind."""
    heights = (maps.shape[1] - 3) // 3
    flipped = _mirror(maps, slice(3 + heights, 3 + 2 * heights))
    flipped[:, 2] *= -1
    return flipped


def _mirror(values: torch.Tensor, odd: slice) -> torch.Tensor:
    flipped = values.flip(-2)
    flipped[:, odd] *= -1
    return flipped


# ------------------------------------------------------------------------------------ the network


class Surrogate(nn.Module):
    """A network with the units of its input and output.

    Parameters
    ----------
    name
        Among NAMES.
    grid
        Of the terrains.
    width
        See casestudies.wind.architectures.
    """

    def __init__(self, name: str, grid: Grid, width: int) -> None:
        super().__init__()
        outputs = len(COMPONENTS) * len(grid.heights)
        inputs = 5 + (outputs if name.endswith(CORRECTED) else 0)
        self.core = KINDS[name.removesuffix(CORRECTED)](grid, inputs, outputs, width)
        inside = torch.zeros(1, 1, *grid.shape)
        inside[grid.inside] = 1
        self.register_buffer("inside", inside, persistent=False)
        self.register_buffer("roughness", torch.tensor([0.0, 1.0]))
        self.register_buffer("scale", torch.ones(outputs, 1, 1))
        last = self.core.head if isinstance(self.core.head, nn.Conv2d) else self.core.head[-1]
        with torch.no_grad():
            last.weight *= _FIRST
            last.bias.zero_()

    def standardise(self, roughness: torch.Tensor, departures: torch.Tensor) -> None:
        """Learn the units of input and output from the training terrains."""
        spread = roughness.std(correction=0)
        self.roughness[0] = roughness.mean()
        self.roughness[1] = spread if spread > 1e-6 else 1.0
        self.scale.copy_(departures.square().mean(dim=(0, 2, 3)).sqrt()[:, None, None])

    def forward(self, maps: torch.Tensor, roughness: torch.Tensor) -> torch.Tensor:
        """Return what is added to the base, (n, 3 * heights, y, x)."""
        mean, spread = self.roughness
        shape = (len(maps), 1, *maps.shape[2:])
        rough = ((roughness - mean) / spread)[:, None, None, None].expand(shape)
        seen = torch.cat([maps, rough, self.inside.expand(shape)], dim=1)
        if isinstance(self.core, UNet):
            seen = seen.contiguous(memory_format=torch.channels_last)
        with precision(seen.device):
            found = self.core(seen)
        return found.float() * self.scale

    def symmetric(self, maps: torch.Tensor, roughness: torch.Tensor) -> torch.Tensor:
        """Return the mean of the output and of the mirror image of that for the mirror image."""
        mirrored = mirror_flow(self(mirror_maps(maps), roughness))
        return (self(maps, roughness) + mirrored) / 2


def predict_flow(network: Surrogate, shown: Shown) -> np.ndarray:
    """Return the flow in the interior, (n, 3, heights, y, x); all on the network's device."""
    size = max(1, _CELLS // int(np.prod(shown.maps.shape[2:])))
    found = []
    with torch.inference_mode():
        for start in range(0, len(shown.maps), size):
            rows = slice(start, start + size)
            added = network.symmetric(shown.maps[rows], shown.roughness[rows])
            found.append((added + shown.base[rows]).cpu().numpy())
    flow = np.concatenate(found)
    return flow.reshape(len(flow), len(COMPONENTS), -1, *flow.shape[2:])


# ----------------------------------------------------------------------------------- the training


@dataclass(frozen=True)
class Problem:
    """What networks of one kind are trained on, on the device.

    Parameters
    ----------
    name
        Of the network, among NAMES.
    shown
        All terrains.
    target
        The costly flow less the base, (n, 3 * heights, y, x); NaN where it is rejected.
    """

    name: str
    grid: Grid
    shown: Shown
    target: torch.Tensor
    settings: Training

    @classmethod
    def of(cls, name: str, flows: Flows, settings: Training, where: torch.device) -> Self:
        """Return the problem of a network on a device; corrected ones take the one cheap flow."""
        cheap = None
        if name.endswith(CORRECTED):
            (cheap,) = flows.cheap.values()
        shown = Shown.of(flows.grid, flows.elevation, flows.roughness, cheap)
        target = torch.from_numpy(flows.target).flatten(1, 2) - shown.base
        return cls(name, flows.grid, shown.to(where), target.to(where), settings)

    @property
    def where(self) -> torch.device:
        """The device."""
        return self.target.device

    def predict(self, network: Surrogate, rows: np.ndarray) -> np.ndarray:
        """Return the flow over some terrains, (n, 3, heights, y, x)."""
        index = torch.as_tensor(rows, device=self.where)
        shown = self.shown
        return predict_flow(network, Shown(*(part[index] for part in vars(shown).values())))


@dataclass(frozen=True)
class Trained:
    """A trained network, the error along its training, and the step it went on from.

    Parameters
    ----------
    curve
        One row an evaluation: ``epochs``, and the mean squared error of the flow at the first
        height over the terrains of each set that is followed.
    """

    network: Surrogate
    curve: list[dict[str, float]]
    resumed: int


def train_network(
    problem: Problem,
    train: np.ndarray,
    seed: int,
    follow: dict[str, np.ndarray] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = 60.0,
    label: str = "network",
    steps: int | None = None,
) -> Trained:
    """Train a network; the learning rate goes up and down to nought in one cycle.

    Parameters
    ----------
    train
        Terrains to learn from, positions.
    seed
        Of weights, order and mirroring; drawn on the CPU, so that a GPU sees the same numbers.
    follow
        Sets of terrains whose error is followed; nothing is decided by it.
    checkpoint
        File; a killed training goes on from it and ends with the same weights.
    steps
        Gradient steps, in place of those that the settings' epochs make.

    Raises
    ------
    InputError
        If there is nothing to train on, or what is learned is not finite.
    """
    settings, where = problem.settings, problem.where
    if not len(train):
        raise InputError(f"{label}: there is no terrain to train on.")
    rows = torch.as_tensor(train, device=where)
    if not torch.isfinite(problem.target[rows]).all():
        raise InputError(
            f"{label}: a flow to be learned from is not finite, though its terrain has a speed; "
            "prepare the data again."
        )
    with initial_weights(int(np.random.SeedSequence([seed, 0]).generate_state(1)[0])):
        network = Surrogate(problem.name, problem.grid, settings.width)
    network.to(where)
    if isinstance(network.core, UNet):
        network.to(memory_format=torch.channels_last)
    network.standardise(problem.shown.roughness[rows], problem.target[rows])
    variance = float(problem.target[rows].square().mean()) or 1.0
    optimizer = make_optimizer(network.parameters(), settings.learning_rate, _WEIGHT_DECAY)
    a_pass = max(1, round(len(train) / settings.batch))
    steps = steps or a_pass * settings.epochs
    follow = {name: one[:_JUDGED] for name, one in (follow or {}).items()}
    saved, start, curve = None, 0, []
    if checkpoint is not None:
        identity = fingerprint(
            [problem.name, settings.model_dump(), seed, steps, where.type],
            *(problem.shown.maps[rows], problem.shown.roughness[rows], problem.target[rows]),
            *follow.values(),
        )
        saved = Checkpoint(checkpoint, identity, checkpoint_every)
        state = saved.load()
        if state is not None:
            network.load_state_dict({name: state[0][name] for name in network.state_dict()})
            restore_optimizer(optimizer, state[0])
            start, curve = int(state[1]["step"]), list(state[1]["curve"])
            log.info("%s: goes on from step %d of %d", label, start, steps)
    shown = evaluation_steps(steps, _EVALUATIONS)
    for step in progress(range(start, steps), label):
        set_rate(optimizer, settings.learning_rate, step, steps)
        chosen, turned = _draw(train, step, a_pass, seed)
        index = torch.from_numpy(chosen).to(where)
        flip = torch.from_numpy(turned).to(where)
        maps, target = problem.shown.maps[index], problem.target[index]
        maps[flip], target[flip] = mirror_maps(maps[flip]), mirror_flow(target[flip])
        error = network(maps, problem.shown.roughness[index]) - target
        optimizer.zero_grad(set_to_none=True)
        (error.square().mean() / variance).backward()
        nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT)
        optimizer.step()
        done = step + 1
        if done in shown and follow:
            curve.append({"epochs": done / a_pass, **_errors(problem, network, follow)})
        if saved and (done == steps or saved.due()):
            tensors = {**network.state_dict(), **optimizer_tensors(optimizer)}
            saved.save(tensors, {"step": done, "curve": curve})
    return Trained(network, curve, start)


def _draw(train: np.ndarray, step: int, a_pass: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the terrains of a step and which of them are mirrored, by step and seed alone."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1, step // a_pass]))
    order, turned = rng.permutation(train), rng.random(len(train)) < 0.5
    part = slice(*(len(train) * (step % a_pass + k) // a_pass for k in (0, 1)))
    return order[part], turned[part]


def _errors(
    problem: Problem, network: Surrogate, follow: dict[str, np.ndarray]
) -> dict[str, float]:
    """Return the mean squared error at the first height over each set of terrains."""
    everything = np.concatenate(list(follow.values()))
    found = problem.predict(network, everything)[:, :, 0]
    index = torch.as_tensor(everything, device=problem.where)
    truth = problem.target[index] + problem.shown.base[index]
    truth = truth.unflatten(1, (len(COMPONENTS), -1))[:, :, 0].cpu().numpy()
    squares = ((found - truth) ** 2).mean(axis=(1, 2, 3))
    ends = np.cumsum([len(one) for one in follow.values()])[:-1]
    parts = np.split(squares, ends)
    return {name: float(part.mean()) for name, part in zip(follow, parts, strict=True)}


def spread_of(flows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the standard deviation of the speed between networks, given (n, 3, y, x) of each."""
    speeds = np.stack([np.hypot(flow[:, 0], flow[:, 1]) for flow in flows])
    return speeds.std(axis=0, ddof=1 if len(speeds) > 1 else 0)
