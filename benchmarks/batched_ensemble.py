"""Stacked training of many small networks against the same networks one by one.

Run ``python benchmarks/batched_ensemble.py`` (under a minute on two cores). Both sides train the
published glacier network (34-40-20-10-5-1 with batch normalisation, dropout and RMSprop) for the
same number of steps on the same batch size; the baseline is the usual PyTorch loop over an
``nn.Sequential``, on one thread or on all, whichever is faster. It prints
the time per network and step of both, and their ratio.
"""

import argparse
import time

import numpy as np
import torch
from torch import nn

from casestudies.glacier.networks import paper_architecture
from casestudies.training.device import set_threads
from casestudies.training.ensemble import Problem, Training, train_ensemble

BATCH = 32
RATE = 5e-4


def one_network() -> nn.Sequential:
    """Return the published network as anyone would write it."""
    layers: list[nn.Module] = [nn.Linear(34, 34), nn.BatchNorm1d(34)]
    width = 34
    for size, rate in zip((40, 20, 10, 5), (0.2, 0.2, 0.05, 0.01), strict=True):
        layers += [nn.Linear(width, size), nn.BatchNorm1d(size), nn.LeakyReLU(0.05)]
        layers += [nn.Dropout(rate)]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 1))


def one_by_one(problems: list[Problem], steps: int) -> float:
    """Train every network in turn; return the seconds."""
    start = time.perf_counter()
    for problem in problems:
        torch.manual_seed(problem.seed)
        inputs, targets = torch.from_numpy(problem.inputs), torch.from_numpy(problem.targets)
        network = one_network()
        optimizer = torch.optim.RMSprop(network.parameters(), lr=RATE, alpha=0.9)
        step = 0
        while step < steps:
            for rows in torch.randperm(len(targets)).split(BATCH)[: steps - step]:
                loss = nn.functional.mse_loss(network(inputs[rows]).squeeze(1), targets[rows])
                optimizer.zero_grad()
                loss.sqrt().backward()
                optimizer.step()
                step += 1
        network.eval()
        with torch.no_grad():
            network(torch.from_numpy(problem.queries))
    return time.perf_counter() - start


def stacked(problems: list[Problem], steps: int, threads: int) -> float:
    """Train all networks at once; return the seconds."""
    start = time.perf_counter()
    training = Training(steps, steps, BATCH, "rmsprop", RATE, loss="rmse")
    train_ensemble(problems, paper_architecture("glacier"), training, torch.device("cpu"), threads)
    return time.perf_counter() - start


def main() -> None:
    """Time both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--networks", type=int, default=192, help="stacked networks")
    parser.add_argument("--baseline", type=int, default=8, help="networks trained one by one")
    parser.add_argument("--steps", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of each side counts")
    options = parser.parse_args()
    rng = np.random.default_rng(np.random.SeedSequence(1))
    problems = [
        Problem(
            rng.standard_normal((1000, 34), dtype=np.float32),
            rng.standard_normal(1000, dtype=np.float32),
            rng.standard_normal((57, 34), dtype=np.float32),
            seed=1,
        )
        for _ in range(options.networks)
    ]
    single, batched = np.inf, np.inf
    for _ in range(options.repeats):  # in turn, so that a busy machine slows both sides
        for threads in {1, options.threads}:
            set_threads(threads)
            single = min(single, one_by_one(problems[: options.baseline], options.steps))
        batched = min(batched, stacked(problems, options.steps, options.threads))
    single /= options.baseline * options.steps
    batched /= options.networks * options.steps
    print(
        f"{options.threads} threads, {options.steps} steps of batch {BATCH}: one by one "
        f"{single * 1e6:.0f} µs, stacked {batched * 1e6:.1f} µs per network and step "
        f"({options.baseline} and {options.networks} networks), ratio {single / batched:.1f}"
    )


if __name__ == "__main__":
    main()
