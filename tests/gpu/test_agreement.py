"""A GPU predicts what the CPU predicts, within the tolerance of each step.

Where there is no GPU, the half of the difference that the number format makes is tested: the CPU
computes in bfloat16, too.
"""

import numpy as np
import pytest
import torch

from casestudies.satellite.simulate import Sensor, frames
from casestudies.training import device
from casestudies.training.checkpoint import Checkpoint
from casestudies.wind import mass_consistent
from tests.gpu.steps import STEPS, difference, glacier, wind
from tests.unit.wind.tiny import HEIGHTS, SPACING, terrains

HALF = [name for name, step in STEPS.items() if step.bfloat16]


@pytest.mark.gpu
@pytest.mark.parametrize("name", STEPS)
def test_a_gpu_predicts_as_the_cpu_does(name, gpu, on_cpu, data, tmp_path):
    found = STEPS[name].run(data, tmp_path, gpu)
    assert difference(found, on_cpu(name)) < STEPS[name].tolerance


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["glacier, ensemble, new year", "wind, unet"])
def test_a_gpu_predicts_twice_the_same(name, gpu, data, tmp_path):
    step = STEPS[name]
    first, second = (step.run(data, tmp_path / str(k), gpu) for k in range(2))
    assert difference(second, first) < step.tolerance / 2


@pytest.mark.gpu
def test_the_mass_consistent_flow_is_the_same_on_a_gpu(gpu):
    elevation, roughness = terrains(3)
    given = (elevation, SPACING, roughness, HEIGHTS, {"levels": 8})
    for one, other in zip(
        mass_consistent.solve_many(*given),
        mass_consistent.solve_many(*given, torch.device(gpu)),
        strict=True,
    ):
        np.testing.assert_allclose(other.u, one.u, atol=1e-4)


@pytest.mark.gpu
def test_the_simulated_scene_is_the_same_on_a_gpu(gpu):
    sensor = Sensor(24, 0.0, 0.13, 0.3, 0.14)
    start = np.datetime64("2019-01-01T00", "h")
    one, other = (list(frames("plume", start, 2, sensor, where, 1)) for where in ("cpu", gpu))
    np.testing.assert_allclose([f.label for f in other], [f.label for f in one], rtol=1e-6)
    np.testing.assert_allclose(
        np.array([f.image for f in other]), np.array([f.image for f in one]), atol=1e-4
    )


@pytest.mark.parametrize("name", HALF)
def test_bfloat16_predicts_as_float32_does(name, on_cpu, data, tmp_path, monkeypatch):
    expected = on_cpu(name)
    monkeypatch.setattr(device, "BFLOAT16", ("cpu",))
    found = STEPS[name].run(data, tmp_path, "cpu")
    assert 0 < difference(found, expected) < STEPS[name].tolerance


@pytest.mark.parametrize("name", STEPS)
def test_another_seed_is_beyond_the_tolerance(name, on_cpu):
    assert difference(on_cpu(name, 2), on_cpu(name)) > 1.5 * STEPS[name].tolerance


def test_the_cpu_computes_in_float32():
    assert not device.precision(torch.device("cpu"))._enabled
    with device.precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.parametrize(
    "run",
    [
        wind("unet"),
        glacier("paper_network", "year", '{"known_year_epochs": 4, "new_year_epochs": 4}'),
    ],
    ids=["wind", "glacier"],
)
def test_a_checkpoint_of_the_other_device_is_not_gone_on_from(
    run, gpu, data, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    for module in ("casestudies.wind.train", "casestudies.glacier.train"):
        monkeypatch.setattr(f"{module}.remove_checkpoints", lambda folder: None)
    run(data, tmp_path, "cpu")
    run(data, tmp_path, gpu)
    assert "checkpoint of other settings or data, not used" in caplog.text
