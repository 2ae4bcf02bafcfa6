"""Many small independent networks trained at once, as stacked tensors.

The folds of a nested cross-validation times the members of an ensemble are hundreds of small
networks. One by one, each step of each network spends most of its time in the overhead of calls;
stacked, one batched matrix product serves them all (the networks share no parameter, so the
gradient of the summed loss is each network's own, and the optimisers used work element by element).

What network b becomes depends on its own data and seed alone, but for rounding, which may depend on
the networks that share its batch. Batches do not depend on the number of threads. Random numbers
are therefore a function of (seed, purpose, position), drawn from a counter-based generator (Philox;
Salmon et al. 2011, doi:10.1145/2063384.2063405), and a resumed run needs no generator state.
Networks with the same seed share their draws, which pairs the folds of an ensemble member (common
random numbers).

Layout: activations are (networks, features, rows), so that the rows of one feature are contiguous
for batch normalisation.
"""

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from casestudies.errors import InputError
from casestudies.steps import progress
from casestudies.training.checkpoint import (
    Checkpoint,
    fingerprint,
    optimizer_tensors,
    restore_optimizer,
)

log = logging.getLogger("casestudies")
_INITIAL, _ORDER, _NOISE = range(3)  # purposes of random numbers
# Parameters are padded to whole vector registers: the last few elements of a tensor go through
# scalar code that rounds otherwise, and which network owns them depends on its company.
_REGISTER = 16
_GROUP = 64  # networks whose activations stay in a core's cache
_GROUP_ON_GPU = 4096


@dataclass(frozen=True)
class Layer:
    """A dense layer and what follows it, in this order."""

    width: int
    """Units."""
    batch_norm: bool = False
    """Batch normalisation (Ioffe and Szegedy 2015)."""
    negative_slope: float = 1.0
    """Slope of the leaky rectifier below zero; 1 leaves the layer linear."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise added in training."""
    dropout: float = 0.0
    """Probability of dropping a unit in training."""


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron with one output."""

    hidden: tuple[Layer, ...]
    input_dropout: float = 0.0
    """Probability of dropping a feature in training."""
    skip: bool = False
    """Add a linear path from the features to the output."""
    batch_norm_momentum: float = 0.01
    """Weight of the newest batch in the running statistics."""
    batch_norm_epsilon: float = 1e-3


@dataclass(frozen=True)
class Training:
    """How the networks are trained."""

    steps: int
    """Gradient steps of every network."""
    evaluate_every: int
    """Steps between two predictions of the queries."""
    batch: int = 32
    """Rows of a mini-batch. Batches follow one another through an endless sequence of
    permutations of the network's rows, so all are full."""
    optimizer: Literal["rmsprop", "adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    """Part of the last step that is kept; of sgd alone."""
    weight_decay: float = 0.0
    """Decoupled decay of weights, not of biases (Loshchilov and Hutter 2019)."""
    loss: Literal["mse", "rmse"] = "mse"


@dataclass(frozen=True)
class Problem:
    """The data of one network, standardised by whoever makes it.

    Attributes
    ----------
    inputs, targets
        Training rows: (rows, features), (rows,).
    queries
        Rows to be predicted at every evaluation: (queries, features).
    seed
        Decides initial weights, order of rows, dropout and noise.
    """

    inputs: np.ndarray
    targets: np.ndarray
    queries: np.ndarray
    seed: int = 0


@dataclass
class Trained:
    """What came of the training.

    Attributes
    ----------
    steps
        Steps made before each evaluation, (evaluations,).
    predictions
        For each problem, (evaluations, queries).
    resumed
        Steps, summed over the groups of networks, that came from checkpoints.
    """

    steps: np.ndarray
    predictions: list[np.ndarray]
    resumed: int


class StackedNetworks:
    """Parameters and running statistics of B networks of one architecture.

    All weights are one tensor (B, ·), all other parameters another: two leaves make the optimiser
    cheap, and only the first is decayed.
    """

    def __init__(self, architecture: Architecture, features: int, seeds: Sequence[int]) -> None:
        self.architecture = architecture
        widths = [features, *(layer.width for layer in architecture.hidden), 1]
        self.shapes = list(zip(widths[1:], widths[:-1], strict=True))
        if architecture.skip:
            self.shapes.append((1, features))
        self.weight_sizes = [outputs * inputs for outputs, inputs in self.shapes]
        self.weight_sizes.append(-sum(self.weight_sizes) % _REGISTER)
        distinct, position = np.unique(np.asarray(seeds, dtype=np.int64), return_inverse=True)
        initial = torch.stack([self._initial(int(seed)) for seed in distinct])
        self.weights = initial[torch.as_tensor(position)].requires_grad_()
        start: list[torch.Tensor] = []
        self.running_mean, self.running_variance = [], []
        for layer in (*architecture.hidden, Layer(1)):
            if layer.batch_norm:
                start.append(torch.ones(layer.width))  # scale
                self.running_mean.append(torch.zeros(len(seeds) * layer.width))
                self.running_variance.append(torch.ones(len(seeds) * layer.width))
            start.append(torch.zeros(layer.width))  # shift, or bias where there is none
        start.append(torch.zeros(-sum(map(len, start)) % _REGISTER))
        self.other_sizes = [len(values) for values in start]
        self.others = torch.cat(start).repeat(len(seeds), 1).requires_grad_()

    def _initial(self, seed: int) -> torch.Tensor:
        """Draw He-normal weights (He et al. 2015); the linear path starts at zero."""
        rng = _random(seed, _INITIAL, 0)
        pieces = []
        for number, (outputs, inputs) in enumerate(self.shapes):
            draw = rng.standard_normal(outputs * inputs, dtype=np.float32) * np.sqrt(2 / inputs)
            is_skip = self.architecture.skip and number == len(self.shapes) - 1
            pieces.append(np.zeros_like(draw) if is_skip else draw)
        pieces.append(np.zeros(self.weight_sizes[-1]))
        return torch.from_numpy(np.concatenate(pieces).astype(np.float32))

    def to(self, where: torch.device) -> "StackedNetworks":
        """Move everything to a device."""
        self.weights = self.weights.detach().to(where).requires_grad_()
        self.others = self.others.detach().to(where).requires_grad_()
        self.running_mean = [value.to(where) for value in self.running_mean]
        self.running_variance = [value.to(where) for value in self.running_variance]
        return self

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return everything a checkpoint needs."""
        return {
            "weights": self.weights,
            "others": self.others,
            **{f"mean.{i}": value for i, value in enumerate(self.running_mean)},
            **{f"variance.{i}": value for i, value in enumerate(self.running_variance)},
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take the values that :meth:`tensors` returned."""
        with torch.no_grad():
            for name, value in self.tensors().items():
                value.copy_(tensors[name])

    def __call__(
        self, rows: torch.Tensor, noise: "dict[tuple[int, str], torch.Tensor] | None" = None
    ) -> torch.Tensor:
        """Return the outputs (B, rows) for ``rows`` (B, features, rows).

        Parameters
        ----------
        noise
            Random draws of this step for training (see :func:`_draws`); None for prediction.
        """
        networks = len(rows)
        training = noise is not None
        parts = self.weights.split(self.weight_sizes, dim=1)[:-1]
        weights = [
            part.view(networks, *shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]
        others = iter(self.others.split(self.other_sizes, dim=1))
        hidden = rows
        if training and (-1, "dropout") in noise:
            hidden = hidden * noise[-1, "dropout"]
        normalised = 0
        for number, layer in enumerate(self.architecture.hidden):
            if layer.batch_norm:
                scale, shift = next(others), next(others)
                hidden = torch.bmm(weights[number], hidden)
                hidden = functional.batch_norm(
                    hidden.view(1, -1, hidden.shape[2]),
                    self.running_mean[normalised],
                    self.running_variance[normalised],
                    scale.reshape(-1),
                    shift.reshape(-1),
                    training,
                    self.architecture.batch_norm_momentum,
                    self.architecture.batch_norm_epsilon,
                ).view(hidden.shape)
                normalised += 1
            else:
                hidden = torch.baddbmm(next(others).unsqueeze(2), weights[number], hidden)
            if layer.negative_slope != 1:
                hidden = functional.leaky_relu(hidden, layer.negative_slope)
            if training and (number, "noise") in noise:
                hidden = hidden + noise[number, "noise"]
            if training and (number, "dropout") in noise:
                hidden = hidden * noise[number, "dropout"]
        output = torch.baddbmm(
            next(others).unsqueeze(2), weights[len(self.architecture.hidden)], hidden
        )
        if self.architecture.skip:
            output = output + torch.bmm(weights[-1], rows)
        return output.squeeze(1)


def train_ensemble(
    problems: Sequence[Problem],
    architecture: Architecture,
    training: Training,
    where: torch.device,
    threads: int = 1,
    checkpoints: Path | None = None,
    every: float = 60.0,
    label: str = "networks",
    group: int | None = None,
) -> Trained:
    """Train one network per problem and predict its queries every so often.

    Parameters
    ----------
    problems
        One per network; all with the same number of features.
    where
        Device. Random numbers are drawn on the CPU, so a GPU sees the same ones.
    threads
        CPU threads: groups of networks are trained side by side, each on one thread.
    checkpoints
        Folder of checkpoints, one file for each group of networks; removed by the caller once the
        result is written. None for no checkpoints.
    every
        Seconds between checkpoints.
    group
        Networks trained together; by default what suits the device. Of the result it changes the
        rounding at most.

    Raises
    ------
    InputError
        If there is no problem, or one has no training row, or a value that is not finite.
    """
    _check(problems, training)
    if group is None:  # not by the number of threads, or rounding would depend on it
        group = _GROUP if where.type == "cpu" else _GROUP_ON_GPU
    # Networks with much to predict go together, to spare padding.
    order = np.argsort([-len(problem.queries) for problem in problems], kind="stable")
    groups = np.array_split(order, max(1, -(-len(order) // group)))
    evaluations = len(_evaluation_steps(training))
    events: queue.Queue = queue.Queue()
    stop = threading.Event()

    def run(number: int) -> tuple[np.ndarray, int]:
        torch.set_num_threads(1)  # holds for this thread only
        chosen = [problems[i] for i in groups[number]]
        path = None if checkpoints is None else checkpoints / f"group{number}.safetensors"
        try:
            return _train_group(chosen, architecture, training, where, path, every, events, stop)
        except BaseException as error:
            events.put(error)
            raise

    def finished() -> Iterator[None]:
        for _ in range(len(groups) * evaluations):
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            yield event

    before = torch.get_num_threads()
    with ThreadPoolExecutor(threads if where.type == "cpu" else 1) as pool:
        futures = [pool.submit(run, number) for number in range(len(groups))]
        try:
            for _ in progress(finished(), label, len(groups) * evaluations):
                pass
        except BaseException:  # an interrupt too: without this the threads would train to the end
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        results = [future.result() for future in futures]
    torch.set_num_threads(before)
    predictions: list[np.ndarray] = [np.empty(0)] * len(problems)
    for members, (predicted, _) in zip(groups, results, strict=True):
        for i, member in enumerate(members):
            predictions[member] = predicted[:, i, : len(problems[member].queries)]
    resumed = sum(steps for _, steps in results)
    return Trained(_evaluation_steps(training), predictions, resumed)


def _train_group(
    problems: Sequence[Problem],
    architecture: Architecture,
    training: Training,
    where: torch.device,
    path: Path | None,
    every: float,
    events: queue.Queue,
    stop: threading.Event,
) -> tuple[np.ndarray, int]:
    """Train one group; return predictions (evaluations, B, queries) and the steps resumed."""
    features = problems[0].inputs.shape[1]
    inputs, targets, queries = (tensor.to(where) for tensor in _padded(problems))
    counts = np.array([len(problem.targets) for problem in problems])
    seeds = np.array([problem.seed for problem in problems])
    networks = StackedNetworks(architecture, features, seeds).to(where)
    optimizer = _optimizer(networks, training)
    ends = _evaluation_steps(training)
    predictions = torch.zeros(len(ends), len(problems), queries.shape[2])
    step = 0
    checkpoint = None
    if path is not None:
        settings = [asdict(architecture), asdict(training), str(where), seeds.tolist()]
        identity = fingerprint([settings, counts.tolist()], inputs, targets, queries)
        checkpoint = Checkpoint(path, identity, every)
        state = checkpoint.load()
        if state is not None:
            tensors, scalars = state
            step = scalars["step"]
            networks.restore(tensors)
            restore_optimizer(optimizer, tensors)
            predictions = tensors["predictions"]
            log.info("%s: resumed at step %d of %d", path, step, training.steps)
    resumed = step
    for _ in range(np.searchsorted(ends, step, side="right")):
        events.put(None)
    batches = _Batches(counts, seeds, training.batch)
    first_row = torch.arange(len(problems)).unsqueeze(1) * inputs.shape[1]
    rows = inputs.view(-1, features)
    values = targets.view(-1)
    distinct, position = np.unique(seeds, return_inverse=True)
    same_seed = None if len(distinct) == 1 else torch.as_tensor(position, device=where)
    while step < training.steps and not stop.is_set():
        index = (torch.from_numpy(batches.at(step)) + first_row).to(where)
        flat = index.view(-1)
        x = rows.index_select(0, flat).view(*index.shape, features).transpose(1, 2)
        noise = _draws(architecture, features, training.batch, distinct, step, same_seed, where)
        error = networks(x, noise) - values.index_select(0, flat).view(index.shape)
        loss = error.square().mean(dim=1)
        if training.loss == "rmse":
            loss = loss.sqrt()
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        optimizer.step()
        step += 1
        if step in ends:
            number = int(np.searchsorted(ends, step))
            with torch.no_grad():
                predictions[number] = networks(queries).cpu()
            events.put(None)
        if checkpoint is not None and (checkpoint.due() or step == training.steps):
            tensors = {**networks.tensors(), **optimizer_tensors(optimizer)}
            checkpoint.save({**tensors, "predictions": predictions}, {"step": step})
    return predictions.numpy(), resumed


class _Batches:
    """Mini-batches of every network, by step: windows of its endless sequence of permutations."""

    def __init__(self, counts: np.ndarray, seeds: np.ndarray, batch: int) -> None:
        self.counts, self.seeds, self.batch = counts, seeds, batch
        self.pairs, self.inverse = np.unique(
            np.stack([seeds, counts], axis=1), axis=0, return_inverse=True
        )
        self.inverse = self.inverse.reshape(-1)
        self.passes: list[dict[int, np.ndarray]] = [{} for _ in self.pairs]

    def at(self, step: int) -> np.ndarray:
        """Return the rows of step ``step``, (networks, batch)."""
        windows = np.empty((len(self.pairs), self.batch), dtype=np.int64)
        positions = np.arange(step * self.batch, (step + 1) * self.batch)
        for number, (seed, count) in enumerate(self.pairs):
            passes, offsets = np.divmod(positions, count)
            known = self.passes[number]
            needed = range(passes[0], passes[-1] + 1)
            for this in needed:
                if this not in known:
                    known[this] = _random(int(seed), _ORDER, this).permutation(count)
            for old in [this for this in known if this not in needed]:
                del known[old]
            windows[number] = np.concatenate([known[this] for this in needed])[
                (passes - passes[0]) * count + offsets
            ]
        return windows[self.inverse]


def _draws(
    architecture: Architecture,
    features: int,
    batch: int,
    seeds: np.ndarray,
    step: int,
    position: torch.Tensor | None,
    where: torch.device,
) -> dict[tuple[int, str], torch.Tensor]:
    """Return dropout masks (scaled by what is kept) and noise of a step, drawn once per seed."""
    drawn: dict[tuple[int, str], torch.Tensor] = {}
    wanted = [(-1, "dropout", features, architecture.input_dropout)]
    for number, layer in enumerate(architecture.hidden):
        wanted.append((number, "noise", layer.width, layer.noise))
        wanted.append((number, "dropout", layer.width, layer.dropout))
    wanted = [item for item in wanted if item[3] > 0]
    if not wanted:
        return drawn
    generators = [_random(int(seed), _NOISE, step) for seed in seeds]
    for number, kind, width, amount in wanted:
        if kind == "noise":
            values = np.stack([g.standard_normal((width, batch), np.float32) for g in generators])
            values *= np.float32(amount)
        else:
            values = np.stack([g.random((width, batch), np.float32) for g in generators])
            values = (values >= amount) * np.float32(1 / (1 - amount))
        tensor = torch.from_numpy(values).to(where)
        drawn[number, kind] = tensor if position is None else tensor[position]
    return drawn


def _random(seed: int, purpose: int, counter: int) -> np.random.Generator:
    """Return the generator of (seed, purpose, counter); its streams never overlap."""
    # The counter fills the high word, so each stream has 2**192 numbers to itself.
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, purpose], np.uint64), counter=[0, 0, 0, counter])
    )


def _evaluation_steps(training: Training) -> np.ndarray:
    ends = np.arange(training.evaluate_every, training.steps, training.evaluate_every)
    return np.append(ends, training.steps)


def _optimizer(networks: StackedNetworks, training: Training) -> torch.optim.Optimizer:
    groups = [
        {"params": [networks.weights], "weight_decay": training.weight_decay},
        {"params": [networks.others], "weight_decay": 0.0},
    ]
    if training.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=training.learning_rate, alpha=0.9, eps=1e-7)
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=training.learning_rate, momentum=training.momentum)
    return torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)


def _padded(problems: Sequence[Problem]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Stack the problems' arrays, padded with zeros that are never drawn or returned."""
    features = problems[0].inputs.shape[1]
    rows = max(len(problem.targets) for problem in problems)
    asked = max(len(problem.queries) for problem in problems)
    inputs = np.zeros((len(problems), rows, features), np.float32)
    targets = np.zeros((len(problems), rows), np.float32)
    queries = np.zeros((len(problems), features, asked), np.float32)
    for i, problem in enumerate(problems):
        inputs[i, : len(problem.inputs)] = problem.inputs
        targets[i, : len(problem.targets)] = problem.targets
        queries[i, :, : len(problem.queries)] = problem.queries.T
    return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(queries)


def _check(problems: Sequence[Problem], training: Training) -> None:
    if not problems:
        raise InputError("there is no network to train: the splits hold no fold.")
    if training.optimizer != "adam" and training.weight_decay:
        raise InputError("weight_decay is decoupled and goes with optimizer 'adam' only; set it 0.")
    for number, problem in enumerate(problems):
        if not len(problem.targets):
            raise InputError(f"network {number} has no training row; choose fewer folds.")
        for name in ("inputs", "targets", "queries"):
            if not np.isfinite(getattr(problem, name)).all():
                raise InputError(
                    f"network {number} has values in {name} that are not finite; check the "
                    "prepared table for gaps."
                )
