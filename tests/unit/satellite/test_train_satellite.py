"""The end-to-end network: honest choice, chance without a signal, resuming, its step."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from casestudies.config.schemes import Blocked
from casestudies.errors import InputError
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.satellite import supervised
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.supervised import CnnSettings, cross_validate_cnn, parse_settings
from casestudies.satellite.train import train
from casestudies.tables import read_metadata, read_table, write_table

CPU = torch.device("cpu")
SETTINGS = CnnSettings(width=4, features=8, steps=60, batch=16, learning_rate=0.01)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """80 labels, each the amplitude of a wave in its frame; every second frame has one."""
    folder = tmp_path_factory.mktemp("cnn")
    rng = np.random.default_rng(0)
    x = np.arange(16) / 16
    amplitude = rng.normal(size=160)
    values = amplitude[:, None, None] * np.cos(2 * np.pi * x) + 0.3 * rng.normal(size=(160, 16, 16))
    values[:, 3:6, 3:6] = np.nan
    channel = Channel("c", "1", "c", float(np.nanmin(values)), float(np.nanmax(values)))
    axis = (np.arange(16), {"units": "1"})
    with ImageWriter(folder / "images.zarr", [channel], 160, axis, axis) as writer:
        for day, frame in enumerate(values):
            writer.append(np.datetime64("2020-01-01") + day, frame[None])
    frames = np.arange(0, 160, 2)
    season = 2 * np.pi * frames / 365.25
    samples = pd.DataFrame(
        {
            "sample": [f"s{k}" for k in frames],
            "day": frames.astype(float),
            "frame": frames,
            "season_sin": np.sin(season),
            "season_cos": np.cos(season),
            "hour_sin": 0.0,
            "hour_cos": 1.0,
            "label": 3 + 2 * amplitude[frames],
        }
    )
    scheme = Blocked(time="day", blocks=3, gap=3, inner_folds=2)
    folds = make_folds(samples, "label", scheme, 1)
    write_table(samples, folder / "prepared.parquet", {})
    write_table(folds_to_table(folds, samples), folder / "splits.parquet")
    return folder, samples, folds


def skill(table):
    """R² of predictions."""
    residual = table["observed"] - table["predicted"]
    return 1 - residual.var(ddof=0) / table["observed"].var(ddof=0)


def run(study, samples=None, **keywords):
    folder, table, folds = study
    images = Images(folder / "images.zarr")
    return cross_validate_cnn(
        images, table if samples is None else samples, folds, SETTINGS, 1, CPU, **keywords
    )


@pytest.fixture(scope="module")
def result(study):
    return run(study)


def test_learns_what_is_there(study, result):
    _, _, folds = study
    assert skill(result.predictions) > 0.6
    np.testing.assert_array_equal(
        result.predictions["position"], np.concatenate([fold.test for fold in folds])
    )
    assert len(result.inner) == sum(len(test) for fold in folds for _, test in fold.inner)
    assert result.choices.groupby("fold")["chosen"].sum().eq(1).all()
    chosen = result.choices.loc[result.choices["chosen"]].set_index("fold")["inner_loss"]
    best = result.choices.groupby("fold")["inner_loss"].min()
    pd.testing.assert_series_equal(chosen, best)
    np.testing.assert_allclose(
        chosen,
        result.inner.eval("(observed - predicted) ** 2").groupby(result.inner["fold"]).mean(),
    )
    assert result.curves["train"].iloc[-1] < result.curves["train"].iloc[0]
    assert np.isfinite(result.curves[["train", "inner", "held_out"]]).all(axis=None)


def test_permuted_labels_are_chance(study):
    shuffled = study[1].assign(label=np.random.default_rng(5).permutation(study[1]["label"]))
    assert skill(run(study, shuffled).predictions) <= 0


def test_test_labels_have_no_part_in_predictions(study, result):
    _, samples, folds = study
    changed = samples.copy()
    changed.loc[folds[0].test, "label"] += 100
    again = run(study, changed).predictions
    first = result.predictions["fold"] == 0
    pd.testing.assert_series_equal(
        again.loc[first, "predicted"], result.predictions["predicted"][first]
    )


def test_frames_that_do_not_fit_memory_change_nothing(study, result):
    folder, samples, folds = study
    small = SETTINGS.model_copy(update={"memory_mb": 1e-3})
    again = cross_validate_cnn(Images(folder / "images.zarr"), samples, folds, small, 1, CPU)
    pd.testing.assert_frame_equal(again.predictions, result.predictions)


def test_large_frames_are_taken_in_parts(study, result, monkeypatch):
    monkeypatch.setattr(supervised, "_PIXELS", 5 * 16 * 16)
    again = run(study)
    np.testing.assert_allclose(again.curves["train"], result.curves["train"], rtol=0.05)


def test_killed_training_resumes_to_the_same_result(study, result, tmp_path, monkeypatch):
    original, calls = supervised.train_path, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(supervised, "train_path", stopping)
    keywords = {"checkpoint": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyboardInterrupt):
        run(study, **keywords)
    again = run(study, **keywords)
    assert len(calls) == 5 + (9 - 4)
    pd.testing.assert_frame_equal(again.predictions, result.predictions)
    pd.testing.assert_frame_equal(again.curves, result.curves)


def test_step(study, result, tmp_path):
    folder, samples, _ = study
    outputs = {
        name: tmp_path / f"{name}.parquet" for name in ("output", "inner", "choices", "curves")
    }
    train(
        images=folder / "images.zarr",
        prepared=folder / "prepared.parquet",
        splits=folder / "splits.parquet",
        settings=SETTINGS.model_dump_json(),
        units=["day"],
        seed=1,
        device="cpu",
        checkpoint=tmp_path / "checkpoint",
        **outputs,
    )
    table = read_table(
        outputs["output"], complete=["sample", "repeat", "fold", "observed", "predicted"]
    )
    np.testing.assert_array_equal(table["predicted"], result.predictions["predicted"])
    assert (table["lower"] < table["predicted"]).all() and (table["upper"] > table["lower"]).all()
    assert set(table["sample"]) == set(samples["sample"])
    about = read_metadata(outputs["output"])
    assert about["model"] == "cnn" and about["settings"] == json.loads(SETTINGS.model_dump_json())
    assert {"sample", "inner"} <= set(read_table(outputs["inner"]).columns)
    assert not (tmp_path / "checkpoint").exists()


def test_unknown_setting():
    assert parse_settings("{}") == CnnSettings()
    with pytest.raises(InputError, match="did you mean 'width'"):
        parse_settings('{"widht": 3}')
    with pytest.raises(InputError, match=r"satellite\.cnn: steps"):
        parse_settings('{"steps": 0}')
