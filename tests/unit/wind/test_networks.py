"""Networks: symmetry, what they start from, learning, resuming."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from casestudies.config.wind import Training
from casestudies.errors import InputError
from casestudies.training.checkpoint import Checkpoint
from casestudies.wind import networks
from casestudies.wind.architectures import FNO, UNet
from casestudies.wind.flow import log_profile
from casestudies.wind.flows import Grid, mirrored
from casestudies.wind.networks import (
    NAMES,
    Problem,
    Shown,
    Surrogate,
    mirror_flow,
    mirror_maps,
    parse_settings,
    predict_flow,
    train_network,
)
from tests.unit.wind.tiny import SETTINGS, make_study

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("networks"))


def problem(study, name, **changes):
    settings = parse_settings(SETTINGS).model_copy(update=changes)
    flows = study.flows if name.endswith("corrected") else replace(study.flows, cheap={})
    return Problem.of(name, flows, settings, CPU)


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


@pytest.mark.parametrize("name", NAMES)
def test_a_mirrored_terrain_has_the_mirrored_flow(study, name):
    torch.manual_seed(1)
    grid, flows = study.flows.grid, study.flows
    network = Surrogate(name, grid, 4)
    cheap = flows.cheap["linear"] if name.endswith("corrected") else None
    other = None if cheap is None else mirrored(cheap)
    own = predict_flow(network, Shown.of(grid, flows.elevation, flows.roughness, cheap))
    turned = predict_flow(network, Shown.of(grid, flows.elevation[:, ::-1], flows.roughness, other))
    np.testing.assert_allclose(turned, mirrored(own), atol=2e-6)
    assert np.abs(turned - own).max() > 1e-3


def test_mirror_images_of_maps_are_maps_of_mirror_images(study):
    flows = study.flows
    cheap = flows.cheap["linear"]
    own = Shown.of(flows.grid, flows.elevation, flows.roughness, cheap)
    other = Shown.of(flows.grid, flows.elevation[:, ::-1], flows.roughness, mirrored(cheap))
    torch.testing.assert_close(mirror_maps(own.maps), other.maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(mirror_flow(own.base), other.base)


@pytest.mark.parametrize("name", ["unet", "unet_corrected"])
def test_without_an_addition_the_flow_is_the_inflow_or_the_cheap_one(study, name):
    given = problem(study, name)
    network = Surrogate(name, study.flows.grid, 4)
    torch.nn.init.zeros_(network.core.head.weight)
    flow = given.predict(network, np.array([2, 0]))
    if name == "unet":
        rough = study.flows.roughness[[2, 0]]
        inflow = np.stack([log_profile(np.array([10.0, 50.0]), z0) for z0 in rough])
        np.testing.assert_allclose(
            flow[:, 0], np.broadcast_to(inflow[..., None, None], (2, 2, 8, 8)), rtol=1e-6
        )
        assert not flow[:, 1:].any()
    else:
        np.testing.assert_array_equal(flow, study.flows.cheap["linear"][[2, 0]][..., 4:12, 4:12])


@pytest.mark.parametrize("kind", [UNet, FNO])
@pytest.mark.parametrize("shape", [(16, 16), (21, 26), (48, 40), (79, 69)])
def test_any_size_of_terrain_gives_its_interior(kind, shape):
    margin = [n // 4 for n in shape]
    inside = tuple((m, n - m) for m, n in zip(margin, shape, strict=True))
    network = kind(Grid(shape, inside, (10.0,), 60.0, 0.25), 5, 3, 4)
    found = network(torch.randn(2, 5, *shape))
    assert found.shape == (2, 3, *(stop - start for start, stop in inside))
    assert torch.isfinite(found).all()


def test_the_unet_sees_the_place_that_it_predicts(study):
    """A bump moves the output most where it is."""
    torch.manual_seed(0)
    network = UNet(study.flows.grid, 5, 3, 8)
    flat = torch.zeros(1, 5, 16, 16)
    bump = flat.clone()
    bump[0, :, 6, 9] = 1
    change = (network(bump) - network(flat)).abs().sum(dim=1)[0]
    assert np.unravel_index(int(change.argmax()), change.shape) == (6 - 4, 9 - 4)


@pytest.mark.parametrize("name", NAMES)
def test_training_learns_and_sees_its_own_terrains_alone(study, name):
    given = problem(study, name)
    fold = study.folds[0]
    trained = train_network(given, fold.train, 1, {"held_out": fold.test})
    truth = study.flows.target[fold.test]
    error = ((given.predict(trained.network, fold.test) - truth) ** 2).mean()
    base = given.shown.base[torch.as_tensor(fold.test)].reshape(truth.shape).numpy()
    assert error < 0.75 * ((base - truth) ** 2).mean()
    assert len(trained.curve) == 5
    flow = given.predict(trained.network, fold.test)[:, :, 0]
    assert trained.curve[-1]["held_out"] == pytest.approx(
        ((flow - truth[:, :, 0]) ** 2).mean(), rel=1e-4
    )
    # What is not trained on may be anything.
    target = given.target.clone()
    target[torch.as_tensor(fold.test)] = 1e6
    again = train_network(replace(given, target=target), fold.train, 1)
    torch.testing.assert_close(weights(again.network), weights(trained.network), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["unet", "fno_corrected"])
def test_a_killed_training_ends_with_the_same_weights(study, name, tmp_path, monkeypatch):
    given, train = problem(study, name), study.folds[0].train
    whole = train_network(given, train, 7, {"train": train})
    path = tmp_path / "network.safetensors"
    saved = []

    def save(self, tensors, scalars, original=Checkpoint.save):
        original(self, tensors, scalars)
        saved.append(scalars["step"])
        if len(saved) == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(KeyboardInterrupt):
        train_network(given, train, 7, {"train": train}, path, 0.0)
    resumed = train_network(given, train, 7, {"train": train}, path, 0.0)
    assert resumed.resumed == 8
    torch.testing.assert_close(weights(resumed.network), weights(whole.network), rtol=0, atol=0)
    assert resumed.curve == whole.curve
    done = train_network(given, train, 7, {"train": train}, path, 0.0)
    torch.testing.assert_close(weights(done.network), weights(whole.network), rtol=0, atol=0)
    assert done.resumed == saved[-1]
    other = train_network(given, train, 8, {"train": train}, path)
    assert other.resumed == 0


def test_every_terrain_is_drawn_once_a_pass_and_mirrored_at_times():
    train, turned = np.arange(10, 21), []
    for epoch in range(20):
        steps = [networks._draw(train, 4 * epoch + k, 4, 3) for k in range(4)]
        assert sorted(np.concatenate([rows for rows, _ in steps])) == train.tolist()
        turned += [part for _, part in steps]
    assert 0.35 < np.concatenate(turned).mean() < 0.65


def test_flows_that_are_missing_are_not_learned_from(study):
    given = problem(study, "unet")
    with pytest.raises(InputError, match="not finite"):
        train_network(given, np.arange(8), 1)
    with pytest.raises(InputError, match="no terrain"):
        train_network(given, np.arange(0), 1)


def test_settings_that_are_wrong_are_named():
    assert parse_settings("{}") == Training()
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        parse_settings('{"epoch": 3}')
    with pytest.raises(InputError, match="did you mean 'unet'"):
        networks.check_name("u_net")
