"""Device, checkpoints and energy."""

import numpy as np
import pytest
import torch

from casestudies.errors import InputError
from casestudies.training.checkpoint import (
    Checkpoint,
    fingerprint,
    optimizer_tensors,
    remove_checkpoints,
    restore_optimizer,
)
from casestudies.training.device import describe, device, generator, set_threads
from casestudies.training.energy import measured


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_without_gpu_is_an_error():
    with pytest.raises(InputError, match="sees no GPU"):
        device("cuda")


def test_device():
    assert device("cpu").type == "cpu"
    assert device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert describe(device("cpu"))["device"] == "cpu"
    with pytest.raises(InputError, match="did you mean 'cuda'"):
        device("cuda0")


def test_threads():
    before = torch.get_num_threads()
    set_threads(1)
    assert torch.get_num_threads() == 1
    set_threads(before)
    with pytest.raises(InputError, match="at least 1"):
        set_threads(0)


def test_generator_depends_on_seed_and_key_alone():
    draw = torch.rand(3, generator=generator(5, 1, 2))
    child = np.random.SeedSequence(5, spawn_key=(1,))
    assert torch.equal(draw, torch.rand(3, generator=generator(5, 1, 2)))
    assert torch.equal(draw, torch.rand(3, generator=generator(child, 2)))
    assert not torch.equal(draw, torch.rand(3, generator=generator(5, 2, 1)))


@pytest.fixture
def saved(tmp_path):
    """A checkpoint saved twice: value 1, then value 2."""
    checkpoint = Checkpoint(tmp_path / "run" / "c.safetensors", "me")
    for value in (1.0, 2.0):
        checkpoint.save({"x": torch.full((3,), value)}, {"step": int(value), "rate": 0.5})
    return checkpoint


def test_checkpoint_round_trip(saved):
    tensors, scalars = saved.load()
    assert torch.equal(tensors["x"], torch.full((3,), 2.0))
    assert scalars == {"step": 2, "rate": 0.5}
    assert Checkpoint(saved.path.with_name("other"), "me").load() is None


@pytest.mark.parametrize("damage", ["truncated", "altered", "not one at all"])
def test_damaged_checkpoint_falls_back_to_the_previous(saved, caplog, damage):
    content = saved.path.read_bytes()
    altered = content[:-1] + bytes([content[-1] ^ 1])
    saved.path.write_bytes(
        {"truncated": content[: len(content) // 2], "altered": altered}.get(damage, b"hello")
    )
    assert saved.load()[1]["step"] == 1
    assert "damaged checkpoint" in caplog.text
    saved.previous.write_bytes(b"")
    assert saved.load() is None


def test_checkpoint_of_another_run_is_not_used(saved, caplog):
    assert Checkpoint(saved.path, "someone else").load() is None
    assert "other settings or data" in caplog.text


def test_failed_save_keeps_the_checkpoint(saved, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("casestudies.training.checkpoint.save_file", full)
    with pytest.raises(OSError):
        saved.save({"x": torch.zeros(3)}, {"step": 3})
    assert saved.load()[1]["step"] == 2


def test_remove_checkpoints(saved):
    other = saved.path.parent.parent / "keep.txt"
    other.write_text("mine")
    remove_checkpoints(saved.path.parent.parent)
    assert list(other.parent.iterdir()) == [other]
    remove_checkpoints(other.parent / "absent")


def test_due(tmp_path):
    assert Checkpoint(tmp_path / "c", "me", every=0).due()
    assert not Checkpoint(tmp_path / "c", "me", every=1000).due()


def test_fingerprint_sees_values_types_and_settings():
    array = np.arange(4, dtype=np.float32)
    known = fingerprint({"a": 1}, array)
    assert known == fingerprint({"a": 1}, array.copy())
    different = [
        fingerprint({"a": 2}, array),
        fingerprint({"a": 1}, array + 1),
        fingerprint({"a": 1}, array.reshape(2, 2)),
        fingerprint({"a": 1}, array.astype(np.float64)),
        fingerprint({"a": 1}),
    ]
    assert known not in different


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.RMSprop])
def test_optimizer_state_survives(kind):
    def start():
        parameter = torch.ones(3, requires_grad=True)
        return parameter, kind([parameter], lr=0.1)

    def step(parameter, optimizer):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()

    whole, optimizer = start()
    for _ in range(2):
        step(whole, optimizer)
    tensors = {name: value.clone() for name, value in optimizer_tensors(optimizer).items()}
    resumed, fresh = start()
    resumed.data.copy_(whole.data)
    restore_optimizer(fresh, tensors)
    step(whole, optimizer)
    step(resumed, fresh)
    assert torch.equal(whole, resumed)


def test_energy_is_measured_or_estimated():
    with measured("FRA") as energy:
        total = torch.zeros(200, 200)
        for _ in range(300):
            total += torch.rand(200, 200) @ torch.rand(200, 200)
    assert energy.seconds > 0
    assert energy.method in ("measured", "estimated", "not measured")
    if energy.method == "not measured":
        assert energy.joules is None
    else:
        # Watts of a process: more than nothing, less than a rack.
        assert 0.1 < energy.joules / energy.seconds < 1e4
        # France's mix: tens of grams per kWh.
        assert 0.01 < energy.co2e_kg / (energy.joules / 3.6e6) < 0.2


def test_unknown_country():
    with pytest.raises(InputError, match=r"training\.country"), measured("XYZ"):
        pass


def test_energy_survives_a_machine_without_meters(monkeypatch):
    import codecarbon

    def broken(self):
        raise RuntimeError("no such hardware")

    monkeypatch.setattr(codecarbon.OfflineEmissionsTracker, "start", broken)
    with measured("FRA") as energy:
        pass
    assert energy.method == "not measured"
    assert energy.joules is None


def test_the_state_of_an_optimiser_lies_in_memory_as_the_parameters_do():
    """Or a fused one pairs the wrong numbers, without a word."""

    def step(weights, optimizer):
        weights.grad = torch.arange(weights.numel(), dtype=torch.float32).view_as(weights)
        weights.grad = weights.grad.contiguous(memory_format=torch.channels_last)
        optimizer.step()

    def fresh():
        weights = torch.zeros(4, 3, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
        return weights, torch.optim.AdamW([weights], 0.1, fused=True)

    weights, optimizer = fresh()
    step(weights, optimizer)
    again, restored = fresh()
    with torch.no_grad():
        again.copy_(weights)
    found = optimizer_tensors(optimizer).items()
    stored = {k: v.clone(memory_format=torch.contiguous_format) for k, v in found}
    restore_optimizer(restored, stored)
    for one in ((weights, optimizer), (again, restored)):
        step(*one)
    torch.testing.assert_close(again, weights, rtol=0, atol=0)
