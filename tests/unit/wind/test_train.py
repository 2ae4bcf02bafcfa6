"""The step that trains networks: its tables, honesty, resuming; and the learning curve."""

import numpy as np
import pytest

from casestudies.errors import InputError
from casestudies.tables import read_metadata, read_table
from casestudies.training.checkpoint import Checkpoint
from casestudies.wind.learn import draw, learn
from casestudies.wind.networks import spread_of
from casestudies.wind.train import train
from tests.unit.wind.tiny import REJECTED, SETTINGS, TERRAINS, make_study

NAMES = ("output", "inner", "choices", "curves")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("train"))


def run(study, folder, model="unet", **changes):
    paths = {name: folder / f"{name}.parquet" for name in NAMES}
    given = {
        **study.given,
        "model": model,
        "settings": SETTINGS,
        "units": ["sample"],
        "device": "cpu",
        "checkpoint": folder / "checkpoints",
        **changes,
    }
    train(**given, **paths)
    return [read_table(path) for path in paths.values()]


@pytest.fixture(scope="module")
def tables(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return [*run(study, folder), folder]


def error(table):
    return float(((table["predicted"] - table["observed"]) ** 2).mean())


def test_the_tables_hold_every_interior_cell_and_the_spread(study, tables):
    predicted, inner, choices, curves, folder = tables
    assert len(predicted) == (TERRAINS - 1) * 64
    assert study.flows.names[REJECTED] not in set(predicted["sample"])
    assert predicted.notna().all(axis=None)
    assert (predicted["spread"] > 0).all()
    assert len(inner) == sum(len(test) for fold in study.folds for _, test in fold.inner) * 64
    assert list(curves.columns) == ["setting", "epochs", "train", "inner", "held_out"]
    assert curves["epochs"].iloc[-1] == 12
    assert np.isfinite(choices["inner_loss"]).all()
    metadata = read_metadata(folder / "output.parquet")
    assert metadata["networks"] == 6
    assert metadata["device"] == "cpu"
    assert not (folder / "checkpoints").exists()


def test_the_network_is_better_than_the_inflow_and_the_mean_better_than_its_members(tables):
    predicted, inner, choices, curves, _ = tables
    assert error(predicted) < 0.5 * float(((1 - predicted["observed"]) ** 2).mean())
    assert error(predicted) < error(inner)
    squares = choices["inner_loss"].mean()
    assert curves["inner"].iloc[-1] == pytest.approx(np.sqrt(squares), rel=0.05)


def test_the_flow_over_test_terrains_is_not_looked_at(study, tables, tmp_path):
    fold = study.folds[0]
    other = make_study(tmp_path / "spoiled", spoil=fold.test)
    predicted, inner, *_ = run(other, tmp_path)
    for own, spoiled in ((tables[0], predicted), (tables[1], inner)):
        own, spoiled = (part[part["fold"] == 0] for part in (own, spoiled))
        np.testing.assert_array_equal(own["predicted"], spoiled["predicted"])
    widths = [(part["upper"] - part["lower"])[part["fold"] == 0] for part in (tables[0], predicted)]
    np.testing.assert_allclose(*widths, rtol=1e-5)


def test_shuffled_flows_leave_nothing_to_learn(tmp_path):
    predicted, *_ = run(make_study(tmp_path / "shuffled", shuffle=1), tmp_path)
    assert error(predicted) > 0.9 * float(predicted["observed"].var())


def test_a_killed_step_ends_with_the_same_tables(study, tables, tmp_path, monkeypatch):
    count = []

    def save(self, tensors, scalars, original=Checkpoint.save):
        original(self, tensors, scalars)
        count.append(scalars["step"])
        if len(count) == 100:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path, checkpoint_every=0.0)
    assert not (tmp_path / "output.parquet").exists()
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) > 1
    for own, whole in zip(run(study, tmp_path), tables, strict=False):
        assert own.equals(whole)
    assert not (tmp_path / "checkpoints").exists()


def test_an_unknown_network_is_refused_before_anything_is_read(study, tmp_path):
    with pytest.raises(InputError, match="did you mean 'unet'"):
        run(study, tmp_path, model="unett")
    assert not list(tmp_path.iterdir())


def test_the_spread_is_that_of_the_speed():
    flow = np.zeros((1, 3, 1, 1))
    flows = [flow + np.array([3.0, 4.0, 9.0]).reshape(1, 3, 1, 1) * k for k in (1, 2, 3)]
    assert spread_of(flows).item() == 5


def test_draws_nest_nothing_of_the_test_fold(study):
    fold = study.folds[1]
    part = draw(fold, 7, 5)
    assert set(part.train) <= set(fold.train)
    assert len(part.train) == 7
    np.testing.assert_array_equal(part.test, fold.test)
    np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in part.inner])), part.train)
    np.testing.assert_array_equal(draw(fold, 7, 5).train, part.train)


def test_the_learning_curve_ends_with_all_training_terrains(study, tmp_path):
    given = {**study.given, "model": "unet", "settings": SETTINGS, "device": "cpu"}
    path = tmp_path / "learning.csv"
    learn(**given, sizes=[6, 100], checkpoint=tmp_path / "checkpoints", resamples=200, output=path)
    table = read_table(path)
    assert sorted(table["terrains"].unique()) == [6, 15]
    assert set(table["model"]) == {"unet", "ridge"}
    assert ((table["lower"] < table["estimate"]) & (table["estimate"] < table["upper"])).all()
    assert (table["tested"] == 16).all()
    with pytest.raises(InputError, match="too few"):
        learn(**given, sizes=[3], checkpoint=tmp_path / "checkpoints", output=path)
