"""Stacked networks: equal to the same networks one by one, independent, resumable."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from casestudies.errors import InputError
from casestudies.training import ensemble
from casestudies.training.ensemble import (
    Architecture,
    Layer,
    Problem,
    StackedNetworks,
    Training,
    train_ensemble,
)

CPU = torch.device("cpu")
FEATURES = 4
PLAIN = Architecture((Layer(6, batch_norm=True), Layer(5, negative_slope=0.05), Layer(3)))
NOISY = Architecture(
    (Layer(6, True, 1.0, noise=0.1), Layer(5, True, 0.05, dropout=0.3)),
    input_dropout=0.2,
    skip=True,
)


def problems(count: int, seed: int = 0, rows: int = 23) -> list[Problem]:
    rng = np.random.default_rng(seed)
    return [
        Problem(
            rng.standard_normal((rows + i, FEATURES)).astype(np.float32),
            rng.standard_normal(rows + i).astype(np.float32),
            rng.standard_normal((3 + i, FEATURES)).astype(np.float32),
            seed=i % 2,
        )
        for i in range(count)
    ]


def single(networks: StackedNetworks, b: int) -> nn.Sequential:
    """The b-th of networks of architecture PLAIN, as a plain PyTorch module."""
    module = nn.Sequential(
        nn.Linear(FEATURES, 6, bias=False),
        nn.BatchNorm1d(6, eps=1e-3, momentum=0.01),
        nn.Linear(6, 5),
        nn.LeakyReLU(0.05),
        nn.Linear(5, 3),
        nn.Linear(3, 1),
    )
    weights = networks.weights.detach()[b, :72].split([24, 30, 15, 3])
    others = networks.others.detach()[b, :21].split([6, 6, 5, 3, 1])
    with torch.no_grad():
        for layer, values in zip((0, 2, 4, 5), weights, strict=True):
            module[layer].weight.copy_(values.view_as(module[layer].weight))
        module[1].weight.copy_(others[0])
        for layer, values in zip((1, 2, 4, 5), others[1:], strict=True):
            module[layer].bias.copy_(values)
    return module


def assert_close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_forward_and_gradient_equal_sequential():
    networks = StackedNetworks(PLAIN, FEATURES, [1, 2, 3])
    with torch.no_grad():  # move every parameter off its starting value
        networks.others += 0.1 * torch.randn(networks.others.shape)
    rows = torch.randn(3, FEATURES, 8)
    output = networks(rows, {})
    output.square().mean(dim=1).sum().backward()
    for b in range(3):
        module = single(networks, b)
        plain = module(rows[b].T).squeeze(1)
        assert_close(output[b], plain)
        plain.square().mean().backward()
        gradient = torch.cat([module[i].weight.grad.view(-1) for i in (0, 2, 4, 5)])
        assert_close(networks.weights.grad[b, :72], gradient)
        others = [module[1].weight, *(module[i].bias for i in (1, 2, 4, 5))]
        assert_close(networks.others.grad[b, :21], torch.cat([value.grad for value in others]))
        module.eval()
        assert_close(networks(rows)[b], module(rows[b].T).squeeze(1))


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
def test_training_equals_a_plain_loop(optimizer):
    """The same steps on the same rows, with PyTorch's own optimiser for one network."""
    decay = 0.1 if optimizer == "adam" else 0.0
    training = Training(20, 5, 8, optimizer, 1e-2, 0.5, weight_decay=decay, loss="rmse")
    given_problems = problems(3)
    trained = train_ensemble(given_problems, PLAIN, training, CPU)
    for b, problem in enumerate(given_problems):
        module = single(StackedNetworks(PLAIN, FEATURES, [problem.seed]), 0)
        decayed = [module[i].weight for i in (0, 2, 4, 5)]
        groups = [
            {"params": decayed, "weight_decay": decay},
            {"params": [module[1].weight, *(module[i].bias for i in (1, 2, 4, 5))]},
        ]
        if optimizer == "adam":
            plain = torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.0)
        elif optimizer == "sgd":
            plain = torch.optim.SGD(groups, lr=1e-2, momentum=0.5, weight_decay=0.0)
        else:
            plain = torch.optim.RMSprop(groups, lr=1e-2, alpha=0.9, eps=1e-7)
        batches = ensemble._Batches(np.array([len(problem.targets)]), np.array([problem.seed]), 8)
        for step in range(20):
            rows = torch.from_numpy(batches.at(step)[0])
            x, y = torch.from_numpy(problem.inputs)[rows], torch.from_numpy(problem.targets)[rows]
            plain.zero_grad()
            nn.functional.mse_loss(module(x).squeeze(1), y).sqrt().backward()
            plain.step()
        module.eval()
        with torch.no_grad():
            expected = module(torch.from_numpy(problem.queries)).squeeze(1).numpy()
        np.testing.assert_allclose(trained.predictions[b][-1], expected, atol=1e-4)


def test_a_network_depends_on_its_company_by_rounding_at_most():
    training = Training(30, 10, 8, learning_rate=1e-2, weight_decay=0.1)
    many = problems(7)
    together = train_ensemble(many, NOISY, training, CPU, group=64)
    for group in (1, 3):
        again = train_ensemble(many, NOISY, training, CPU, group=group)
        for one, other in zip(together.predictions, again.predictions, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    alone = train_ensemble(many[4:5], NOISY, training, CPU)
    np.testing.assert_allclose(alone.predictions[0], together.predictions[4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [18, 70])
def test_threads_change_no_bit(count):
    # Shapes whose rounding does depend on the company.
    layers = (Layer(16, negative_slope=0.1, dropout=0.1), Layer(8, negative_slope=0.1))
    training = Training(10, 10, 16, learning_rate=1e-2)
    rng = np.random.default_rng(0)
    many = [
        Problem(*(rng.standard_normal(shape) for shape in ((40, 30), 40, (20, 30))), number % 2)
        for number in range(count)
    ]
    one, *others = (
        train_ensemble(many, Architecture(layers, skip=True), training, CPU, threads)
        for threads in (1, 2, 5)
    )
    for other in others:
        np.testing.assert_array_equal(one.predictions, other.predictions)


def test_seed_decides():
    problem = problems(1)[0]
    training = Training(5, 5, 8)
    first, same, other = (
        train_ensemble([replace(problem, seed=seed)], NOISY, training, CPU).predictions[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 40),
    batch=st.integers(1, 50),
    start=st.integers(0, 20),
    seed=st.integers(0),
)
def test_batches_use_every_row_once_per_pass(count, batch, start, seed):
    seeds = np.array([seed % 2**32])
    steps = -(-count // batch) * batch + 1
    batches = ensemble._Batches(np.array([count]), seeds, batch)
    drawn = np.concatenate([batches.at(step)[0] for step in range(steps)])
    whole = drawn[: len(drawn) // count * count].reshape(-1, count)
    assert (np.sort(whole, axis=1) == np.arange(count)).all()
    # A run resumed at any step draws what the undisturbed one would.
    resumed = ensemble._Batches(np.array([count]), seeds, batch)
    np.testing.assert_array_equal(
        resumed.at(start)[0],
        drawn[start * batch : (start + 1) * batch] if start < steps else batches.at(start)[0],
    )


def test_learns_a_function():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3)).astype(np.float32)
    y = np.abs(x[:, 0]) - x[:, 1]
    problem = Problem(x[:300], y[:300], x[300:])
    training = Training(600, 600, 64, learning_rate=1e-2)
    architecture = Architecture((Layer(16, negative_slope=0.05),))
    predicted = train_ensemble([problem], architecture, training, CPU).predictions[0][-1]
    assert np.mean((predicted - y[300:]) ** 2) < 0.05 * np.var(y[300:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.full((5, FEATURES), np.nan, np.float32)}, "not finite"),
        ({"targets": np.empty(0, np.float32)}, "no training row"),
    ],
)
def test_bad_problem_is_refused(change, message):
    bad = replace(problems(1)[0], **change)
    with pytest.raises(InputError, match=message):
        train_ensemble([bad], PLAIN, Training(1, 1), CPU)


def test_an_error_in_one_group_ends_the_training(monkeypatch):
    monkeypatch.setattr(ensemble, "_draws", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_ensemble(problems(4), NOISY, Training(5, 5), CPU, threads=2, group=1)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_ensemble import CPU, NOISY, Training, problems
from casestudies.training.ensemble import train_ensemble
import casestudies.training.ensemble as module
if sys.argv[4] == "slow":
    draws = module._draws
    module._draws = lambda *a: (__import__("time").sleep(0.02), draws(*a))[1]
training = Training(120, 30, 8, learning_rate=1e-2)
trained = train_ensemble(
    problems(6), NOISY, training, CPU, threads=2, checkpoints=Path(sys.argv[2]), every=0.1, group=3
)
np.savez(sys.argv[3], *trained.predictions, resumed=trained.resumed)
"""


def run(folder: Path, result: Path, pace: str) -> subprocess.Popen:
    here = str(Path(__file__).parent)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, here, str(folder), str(result), pace])


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    assert run(tmp_path / "undisturbed", tmp_path / "whole.npz", "fast").wait() == 0
    folder, result = tmp_path / "killed", tmp_path / "resumed.npz"
    process = run(folder, result, "slow")
    newest = folder / "group0.safetensors"
    deadline = time.monotonic() + 60
    while not (newest.exists() and newest.with_suffix(".safetensors.previous").exists()):
        assert process.poll() is None and time.monotonic() < deadline, "never wrote a checkpoint"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not result.exists()
    assert run(folder, result, "fast").wait() == 0
    whole, resumed = np.load(tmp_path / "whole.npz"), np.load(result)
    assert whole["resumed"] == 0
    assert 0 < resumed["resumed"] < 2 * 120
    for name in (f"arr_{i}" for i in range(6)):
        np.testing.assert_array_equal(whole[name], resumed[name])
