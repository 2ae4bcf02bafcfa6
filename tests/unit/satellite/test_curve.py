"""Label curves and the overfitting of raw images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudies.config.schemes import Blocked
from casestudies.errors import InputError
from casestudies.evaluation.splits import make_folds
from casestudies.satellite import supervised
from casestudies.satellite.curve import curve, draw_labels, r_squared
from casestudies.satellite.inputs import read_samples
from casestudies.satellite.overfit import overfit, sides
from casestudies.satellite.pixels import coarsen
from casestudies.tables import read_table
from tests.unit.satellite.tiny import DAYS, SIDE, given, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return make_study(tmp_path_factory.mktemp("study"))


def test_curves_hold_every_draw_and_the_same_for_all_models(study, tmp_path):
    curve(**given(study, "mean", "some"), labels=[10, 25, 1000], draws=2, output=tmp_path)
    tables = {model: read_table(tmp_path / f"{model}.parquet") for model in ("mean", "some")}
    keys = ["labels", "draw", "fold", "sample", "observed"]
    pd.testing.assert_frame_equal(
        *(table[keys].sort_values(keys[:4], ignore_index=True) for table in tables.values())
    )
    assert tables["some"].groupby(["labels", "draw"])["sample"].nunique().eq(DAYS).all()
    assert set(tables["some"]["labels"]) == {10, 25}
    once = tables["some"].groupby(["labels", "draw", "fold"])[["train_r2", "inner_mse"]].nunique()
    assert (once == 1).all(axis=None)
    at = tables["some"].query("labels == 25 and draw == 0")
    assert r_squared(at) > 0.7 and (at["train_r2"] > 0.7).all()


def test_the_end_to_end_network_is_on_the_same_draws(study, tmp_path):
    settings = '{"steps": 10, "width": 4}'
    curve(**given(study, "mean", "cnn"), labels=[10], draws=1, settings=settings, output=tmp_path)
    tables = {
        model: read_table(tmp_path / f"{model}.parquet").sort_values(
            ["fold", "sample"], ignore_index=True
        )
        for model in ("mean", "cnn")
    }
    same = ["labels", "draw", "fold", "sample", "observed"]
    pd.testing.assert_frame_equal(tables["mean"][same], tables["cnn"][same])
    assert tables["cnn"].notna().all(axis=None)


def test_a_network_that_was_stopped_goes_on_with_what_it_has(study, tmp_path, monkeypatch):
    trained = []

    def train_path(*arguments):
        if len(trained) == stop:
            raise KeyboardInterrupt
        trained.append(1)
        return original(*arguments)

    original = supervised.train_path
    monkeypatch.setattr(supervised, "train_path", train_path)
    asked = given(study, "cnn") | {"labels": [10], "draws": 1, "checkpoint_every": 0.0}
    asked |= {"settings": '{"steps": 10, "width": 4}'}
    stop = 3
    with pytest.raises(KeyboardInterrupt):
        curve(**asked, checkpoint=tmp_path / "kept", output=tmp_path)
    assert list((tmp_path / "kept").iterdir())
    stop = None
    curve(**asked, checkpoint=tmp_path / "kept", output=tmp_path)
    resumed = len(trained)
    curve(**asked, output=tmp_path / "whole")
    assert len(trained) == 2 * resumed  # nothing was trained twice
    tables = (read_table(folder / "cnn.parquet") for folder in (tmp_path, tmp_path / "whole"))
    pd.testing.assert_frame_equal(*tables)
    assert not (tmp_path / "kept").exists()


def test_draws_are_of_the_training_labels_and_inner_folds_of_the_draw(study):
    samples, _ = read_samples(study / "prepared.parquet")
    days = samples["day"].to_numpy()
    folds = make_folds(samples, "label", Blocked(time="day", blocks=4, gap=2), 0)
    plan = draw_labels(folds, days, [12, 30], 3, seed=1)
    assert len({(d.fold.repeat, d.fold.fold) for d in plan}) == len(plan) == 2 * 3 * 4
    for drawn in plan:
        whole = folds[drawn.fold.fold]
        assert len(set(drawn.fold.train)) == drawn.labels
        assert set(drawn.fold.train) <= set(whole.train)
        assert not set(drawn.fold.train) & set(whole.test)
        tested = np.concatenate([test for _, test in drawn.fold.inner])
        assert sorted(tested) == sorted(drawn.fold.train)
        for train, test in drawn.fold.inner:
            assert set(train) | set(test) == set(drawn.fold.train) and not set(train) & set(test)
            inside = (days[train] > days[test].min()) & (days[train] < days[test].max())
            assert not inside.any()


def test_a_curve_without_enough_labels_is_refused(study, tmp_path):
    with pytest.raises(InputError, match="no fold has 500 labels"):
        curve(**given(study, "mean"), labels=[500], output=tmp_path / "x")


# Overfitting ----------------------------------------------------------------------------------


def test_coarse_images_are_means_over_valid_pixels():
    values = np.arange(32, dtype=float).reshape(1, 2, 4, 4)
    np.testing.assert_allclose(coarsen(values, 1)[0, :, 0, 0], values.mean(axis=(2, 3))[0])
    np.testing.assert_array_equal(coarsen(values, 4), values)
    values[0, 0, :2, :2] = np.nan
    values[0, 1, 0, 0] = np.nan
    coarse = coarsen(values, 2)
    assert np.isnan(coarse[0, 0, 0, 0])
    assert coarse[0, 1, 0, 0] == pytest.approx((17 + 20 + 21) / 3)


def test_sides_grow_to_the_full_image():
    assert sides((17, 16)) == [1, 2, 3, 4, 6, 8, 12, 16]
    assert sides((2000, 2000))[-1] == 64


def test_least_squares_overfits_and_ridge_does_so_less(study, tmp_path):
    overfit(
        images=study / "images.zarr",
        prepared=study / "prepared.parquet",
        splits=study / "blocked.parquet",
        seed=1,
        output=tmp_path / "o.parquet",
    )
    table = read_table(tmp_path / "o.parquet")
    means = table.groupby(["method", "parameters"])[["train_r2", "test_r2"]].mean()
    assert means.loc[("least_squares", 2 * SIDE**2), "train_r2"] > 0.999
    near = 2 * 6**2  # about as many parameters as labels
    assert means.loc[("least_squares", near), "test_r2"] < means.loc[("ridge", near), "test_r2"]
    assert set(table["fold"]) == {0, 1, 2, 3} and (table["labels"] < DAYS).all()
