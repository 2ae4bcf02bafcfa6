"""What the tests of a GPU need: a GPU, or a word on how to come by one."""

import functools

import numpy as np
import pytest

from tests.gpu.steps import STEPS, make_data


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Small prepared data of all studies."""
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def on_cpu(data, tmp_path_factory):
    """What a step predicts on the CPU in float32, by its name and a seed; computed once."""

    @functools.cache
    def predicted(name: str, seed: int = 1) -> np.ndarray:
        return STEPS[name].run(data, tmp_path_factory.mktemp("cpu"), "cpu", seed=seed)

    return predicted


@pytest.fixture(scope="session")
def gpu() -> str:
    """The device of a GPU that PyTorch sees."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip(
            f"PyTorch {torch.__version__} sees no GPU here; on a machine with one, install its "
            "driver and the environment of envs/studies-gpu.yaml and run `pytest -m gpu`"
        )
    return "cuda"
