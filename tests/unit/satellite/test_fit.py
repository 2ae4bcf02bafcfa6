"""The fit step: every model on tiny images; permuted labels give chance."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.satellite.curve import r_squared
from casestudies.satellite.fit import fit
from casestudies.satellite.inputs import make_inputs, read_samples, ring_means, rings
from casestudies.tables import read_metadata, read_table, write_table
from tests.unit.satellite.tiny import DAYS, HEADS, SIZES, given, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return make_study(tmp_path_factory.mktemp("study"))


def run(folder: Path, model: str, to: Path, *others: str, **changes) -> pd.DataFrame:
    outputs = {name: to / name for name in ("predictions", "inner", "choices")}
    fit(**{**given(folder, model, *others), "units": ["block"], **outputs, **changes})
    return read_table(to / "predictions" / f"{model}.parquet")


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("mean", -0.5),
        ("season", -0.5),
        ("neighbourhood", 0.1),
        ("raw_pixels", 0.5),
        ("coarse_pixels", 0.1),
        ("oracle", 0.9),
        ("some", 0.8),
        ("some_all_images", 0.8),
    ],
)
def test_every_model_is_fitted_and_has_intervals(study, tmp_path, model, least):
    table = run(study, model, tmp_path)
    assert sorted(table["sample"]) == sorted(f"s{k}" for k in range(DAYS))
    assert r_squared(table) > least
    assert (table["lower"] < table["predicted"]).all()
    assert (
        (table["lower"] < table["observed"]) & (table["observed"] < table["upper"])
    ).mean() > 0.7
    facts = read_metadata(tmp_path / "predictions" / f"{model}.parquet")
    assert facts["model"] == model and facts["seconds"] >= 0
    choices = read_table(tmp_path / "choices" / f"{model}.parquet")
    assert (choices.groupby("fold")["chosen"].sum() == 1).all()
    assert len(read_table(tmp_path / "inner" / f"{model}.parquet")) > DAYS


def test_one_step_fits_several_models_as_if_each_were_alone_and_chooses_among_encoders(
    study, tmp_path
):
    models = ("season", "some_all_images", "latent", "latent_all_images")
    both = run(study, "some", tmp_path / "several", *models)
    alone = run(study, "some", tmp_path / "alone")
    pd.testing.assert_frame_equal(both, alone)
    for choice, member in (("latent", "some"), ("latent_all_images", "some_all_images")):
        folder = tmp_path / "several"
        weights = read_table(folder / "choices" / f"{choice}.parquet")
        assert set(weights["model"]) == {member} and (weights["weight"] == 1).all()
        chosen, own = (
            read_table(folder / "predictions" / f"{name}.parquet").sort_values("sample")
            for name in (choice, member)
        )
        np.testing.assert_array_equal(chosen["predicted"], own["predicted"])
        assert (folder / "inner" / f"{choice}.parquet").is_file()


def test_the_same_seed_gives_the_same_numbers(study, tmp_path):
    first = run(study, "some", tmp_path / "a")
    pd.testing.assert_frame_equal(first, run(study, "some", tmp_path / "b"))


@pytest.mark.parametrize("model", ["raw_pixels", "some", "oracle"])
def test_permuted_labels_give_chance(tmp_path, model):
    scores = []
    for permutation in range(3):
        folder = make_study(tmp_path / str(permutation), permute=permutation)
        scores.append(r_squared(run(folder, model, tmp_path)))
    assert np.mean(scores) <= 0


def test_a_test_label_has_no_part_in_its_prediction(study, tmp_path):
    first = run(study, "some", tmp_path / "a").set_index("sample")
    samples, about = read_samples(study / "prepared.parquet")
    splits = read_table(study / "blocked.parquet")
    outer = splits[(splits["fold"] == 1) & (splits["inner"] == -1) & (splits["role"] == "test")]
    tested = set(outer["sample"].astype(str))
    changed = samples.assign(label=samples["label"].where(~samples["sample"].isin(tested), 1000.0))
    for name in ("images.zarr", "blocked.parquet", "some.parquet"):
        (tmp_path / name).symlink_to(study / name)
    write_table(changed, tmp_path / "prepared.parquet", about)
    second = run(tmp_path, "some", tmp_path / "b").set_index("sample")
    for name in tested:
        assert first.loc[name, "predicted"] == second.loc[name, "predicted"]


def test_an_encoder_without_a_fold_is_refused(study, tmp_path):
    table = read_table(study / "some.parquet")
    write_table(table[table["fold"] != 2], tmp_path / "features.parquet")
    with pytest.raises(InputError, match="not fold 2 of the scheme"):
        run(study, "some", tmp_path, features=[tmp_path / "features.parquet"])
    assert not (tmp_path / "predictions").exists()


def test_features_and_models_must_match(study, tmp_path):
    with pytest.raises(InputError, match="0 files for 1 models that rest on an encoder"):
        run(study, "some", tmp_path, features=[])


@pytest.mark.parametrize(
    ("model", "facts", "drop", "message"),
    [
        ("neighbourhood", {}, [], "where the station is"),
        ("oracle", {}, ["state_0"], "no true states"),
        ("pcaa", {}, [], "neither one of mean"),
    ],
)
def test_what_a_model_lacks_is_one_clear_message(study, model, facts, drop, message):
    samples, _ = read_samples(study / "prepared.parquet")
    samples = samples.drop(columns=drop)
    with pytest.raises(InputError, match=message):
        make_inputs(model, samples, facts, study / "images.zarr", None, HEADS, SIZES)


def test_features_of_other_images_are_refused(study, tmp_path):
    table = read_table(study / "some_all_images.parquet")
    write_table(table[table["frame"] < 100], tmp_path / "f.parquet")
    samples, about = read_samples(study / "prepared.parquet")
    with pytest.raises(InputError, match="lacks a latent of frame 100"):
        make_inputs(
            "f", samples, about, study / "images.zarr", tmp_path / "f.parquet", HEADS, SIZES
        )


def test_rings_partition_the_surroundings():
    masks = rings((48, 48), (19, 26))
    assert (masks.sum(axis=0) <= 1).all()
    assert masks[0, 19, 26] and len(masks) == 5
    assert len(rings((3, 3), (1, 1))) < 5


def test_ring_means_are_over_valid_pixels():
    values = np.full((2, 1, 3, 3), np.nan, np.float32)
    values[0, 0, 0, :2] = [1, 5]
    masks = np.zeros((2, 3, 3), bool)
    masks[0, 0], masks[1, 1] = True, True
    np.testing.assert_array_equal(ring_means(values, masks), [[3, np.nan], [np.nan, np.nan]])
