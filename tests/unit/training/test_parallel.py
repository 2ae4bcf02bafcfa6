"""Tasks side by side: in order, on one thread each, and ended together."""

import threading
import time

import pytest
import torch

from casestudies.errors import InputError
from casestudies.steps import progress
from casestudies.training.device import initial_weights
from casestudies.training.parallel import side_by_side


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_whoever_is_first(threads):
    def task(number: int) -> int:
        assert torch.get_num_threads() == 1
        time.sleep(0.01 * (3 - number % 3))
        return number**2

    assert list(side_by_side(task, range(7), threads)) == [n**2 for n in range(7)]


def test_an_error_ends_the_others():
    rounds, waiting = [], threading.Event()

    def task(number: int) -> None:
        if number == 0:
            waiting.wait(10)
            raise InputError("wrong")
        for step in progress(range(100_000), "long"):
            rounds.append(step)
            waiting.set()
            time.sleep(0.001)

    with pytest.raises(InputError, match="wrong"):
        list(side_by_side(task, range(5), 2))
    assert 0 < len(rounds) < 100_000


def test_less_than_one_thread_is_refused():
    with pytest.raises(InputError, match="threads is 0"):
        list(side_by_side(abs, [1], 0))


def test_initial_weights_depend_on_the_seed_alone_also_side_by_side():
    def weights(seed: int) -> torch.Tensor:
        with initial_weights(seed):
            return torch.nn.Linear(50, 50).weight.detach()

    torch.manual_seed(1)
    after = torch.rand(1)
    torch.manual_seed(1)
    known = [weights(seed) for seed in range(8)]
    assert torch.rand(1) == after  # the global generator is left as it was
    for found, expected in zip(side_by_side(weights, range(8), 4), known, strict=True):
        assert torch.equal(found, expected)
