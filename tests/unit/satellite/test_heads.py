"""The heads: right by their own definition, blind to what they may not see."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casestudies.errors import InputError
from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold
from casestudies.satellite.heads import (
    LINEAR,
    SCALINGS,
    Boosting,
    PixelRidge,
    Process,
    Regression,
    Ridge,
    latent_columns,
    regression,
    scaled,
)
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.pixels import LabelledPixels
from casestudies.satellite.season import BESIDE


def table(values: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    beside = pd.DataFrame(rng.normal(size=(len(values), 4)), columns=list(BESIDE))
    return beside.join(pd.DataFrame(values, columns=[f"z{k}" for k in range(values.shape[1])]))


def problem(n: int = 60, latents: int = 8, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Two strong latents that decide about the label, and faint noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, latents)) * np.r_[5, 5, np.full(latents - 2, 0.1)]
    target = np.tanh(values[:, 0] / 5) + values[:, 1] ** 2 / 25 + 0.1 * rng.normal(size=n)
    return table(values, rng), target


def contiguous(n: int, outer: int = 3) -> list[Fold]:
    rows = np.arange(n)
    folds = []
    for k, test in enumerate(np.array_split(rows, outer)):
        train = np.setdiff1d(rows, test)
        inner = [(np.setdiff1d(train, part), part) for part in np.array_split(train, 4)]
        folds.append(Fold(0, k, train, test, inner))
    return folds


def test_ridge_is_the_minimum_of_its_objective():
    data, target = problem()
    setting = Ridge(3, "each", True, 7.0)
    found = Regression((setting,)).predict(data[:40], target[:40], data[40:], [setting], 0)[:, 0]
    columns = ["z0", "z1", "z2", *BESIDE]
    a, b = scaled(data[columns].to_numpy()[:40], data[columns].to_numpy()[40:], "each")
    centre = target[:40].mean()
    weights = np.linalg.solve(a.T @ a + 7 * np.eye(7), a.T @ (target[:40] - centre))
    np.testing.assert_allclose(found, b @ weights + centre)


def test_ridge_is_the_same_in_its_dual_form():
    data, target = problem()
    setting = Ridge(3, "each", True, 7.0)
    few, rest = data[:5], data[40:]  # fewer rows than predictors
    found = Regression((setting,)).predict(few, target[:5], rest, [setting], 0)[:, 0]
    columns = ["z0", "z1", "z2", *BESIDE]
    a, b = scaled(few[columns].to_numpy(), rest[columns].to_numpy(), "each")
    centre = target[:5].mean()
    weights = np.linalg.solve(a.T @ a + 7 * np.eye(7), a.T @ (target[:5] - centre))
    np.testing.assert_allclose(found, b @ weights + centre)


def test_the_process_is_that_of_a_direct_computation():
    data, target = problem()
    setting = Process(4, "common", False, 2.0, 0.1)
    found = Regression((setting,)).predict(data[:40], target[:40], data[40:], [setting], 0)[:, 0]
    columns = latent_columns(data)[:4]
    a, b = scaled(data[columns].to_numpy()[:40], data[columns].to_numpy()[40:], "common")

    def kernel(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        squares = ((p[:, None] - q[None]) ** 2).sum(axis=2) / 4
        return np.exp(-squares / 2 / 2.0**2) + LINEAR * p @ q.T / 4

    centre, scale = target[:40].mean(), target[:40].std()
    weights = np.linalg.solve(kernel(a, a) + 0.1 * np.eye(40), (target[:40] - centre) / scale)
    np.testing.assert_allclose(found, kernel(b, a) @ weights * scale + centre)


@pytest.mark.parametrize("heads", [["ridge"], ["gaussian_process"], ["ridge", "gaussian_process"]])
def test_one_call_for_all_settings_is_as_one_for_each(heads):
    data, target = problem()
    family = regression(heads, 8, [4, 8, 16], SCALINGS)
    chosen = list(family.settings)[::7]
    together = family.predict(data[:40], target[:40], data[40:], chosen, 0)
    for k, setting in enumerate(chosen):
        alone = family.predict(data[:40], target[:40], data[40:], [setting], 0)[:, 0]
        np.testing.assert_allclose(together[:, k], alone, rtol=1e-9, atol=1e-9)


@given(
    arrays(float, (9, 3), elements=st.floats(-1e3, 1e3) | st.just(np.nan)),
    st.sampled_from(SCALINGS),
)
def test_scaled_predictors_are_finite_and_centred(values, scaling):
    train, test = scaled(values[:6], values[6:], scaling)
    assert np.isfinite(train).all() and np.isfinite(test).all()
    valid = ~np.isnan(values[:6])
    np.testing.assert_allclose((train * valid).sum(axis=0), 0, atol=1e-6)
    assert (train**2).sum() <= 6 * 3 * (1 + 1e-6)


def test_a_common_scale_keeps_faint_latents_faint():
    data, _ = problem()
    values = data[latent_columns(data)].to_numpy()
    common = scaled(values, values, "common")[0].std(axis=0)
    assert common[0] > 20 * common[5]
    np.testing.assert_allclose(scaled(values, values, "each")[0].std(axis=0), 1)


def test_sizes_above_what_there_is_are_left_out():
    assert {s.size for s in regression(["ridge"], 10, [4, 8, 16]).settings} == {4, 8}
    assert {s.size for s in regression(["ridge"], 3, [4, 8, 16]).settings} == {3}
    assert {s.size for s in regression(["ridge"], 0).settings} == {0}


def test_latent_columns_are_in_the_order_of_numbers():
    names = ["z10", "zenith", "z2", "z0", "season_sin"]
    assert latent_columns(pd.DataFrame(columns=names)) == ["z0", "z2", "z10"]


def test_trees_are_for_many_labels_only():
    data, target = problem(260)
    setting = Boosting(2, 50)
    family = Regression((setting,))
    few = family.predict(data[:199], target[:199], data[200:], [setting], 0)
    assert np.isnan(few).all()
    many = family.predict(data[:200], target[:200], data[200:], [setting], 0)[:, 0]
    assert np.corrcoef(many, target[200:])[0, 1] > 0.8


def test_a_setting_that_is_undefined_is_never_chosen():
    data, target = problem()
    family = regression(["ridge", "gradient_boosting"], 8, [4])
    _, _, choices = nested_cross_validation(family, data, target, contiguous(60), seed=0)
    assert not choices.loc[choices["chosen"], "setting"].str.startswith("Boosting").any()


@pytest.mark.parametrize(
    ("heads", "message"), [(["rigde"], "did you mean 'ridge'"), (["gradient_boosting"], "add 'ri")]
)
def test_heads_that_cannot_be_are_refused(heads, message):
    with pytest.raises(InputError, match=message):
        regression(heads, 4)


def test_a_curved_relation_wants_the_process():
    rng = np.random.default_rng(4)
    data = table(rng.normal(size=(120, 2)), rng)
    target = np.cos(data["z0"].to_numpy()) + 0.1 * rng.normal(size=120)
    errors = {}
    for head in ("ridge", "gaussian_process"):
        predicted, _, _ = nested_cross_validation(
            regression([head], 2, [], SCALINGS), data, target, contiguous(120), seed=0
        )
        errors[head] = ((predicted["observed"] - predicted["predicted"]) ** 2).mean()
    assert errors["gaussian_process"] < 0.2 * errors["ridge"]


# Raw pixels -----------------------------------------------------------------------------------


def write_images(path, values: np.ndarray) -> Images:
    """Values of shape (frames, channels, y, x), NaN where missing, of a range of 0 to 100."""
    channels = [Channel(f"c{k}", "K", f"channel {k}", 0, 100) for k in range(values.shape[1])]
    axes = [(np.arange(size, dtype=float), {"units": "1"}) for size in values.shape[2:]]
    with ImageWriter(path, channels, len(values), *axes) as writer:
        for k, frame in enumerate(values):
            writer.append(np.datetime64("2020-01-01T12") + np.timedelta64(k, "D"), frame)
    return Images(path)


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.uniform(10, 90, (30, 2, 6, 5)) * np.array([1, 0.1])[:, None, None]
    found[rng.random(found.shape) < 0.3] = np.nan
    found[:, :, 2, 3] = np.nan  # never seen
    found[3] = np.nan  # a frame without a valid pixel
    return found


def test_products_are_those_of_pixels_standardised_by_the_training_frames(tmp_path, values):
    images = write_images(tmp_path / "i.zarr", values)
    pixels = LabelledPixels(images, np.array([5, 3, 20, 11, 12, 5]))
    train, test = np.array([0, 1, 2, 3]), np.array([4, 5])
    known = images.read(np.array([5, 3, 20, 11, 12, 5])).astype(float)
    counts = (~np.isnan(known[:4])).sum(axis=0)
    mean = np.nansum(known[:4], axis=0) / np.maximum(counts, 1)
    anomalies = np.nan_to_num(known - mean) * (counts > 0)
    variance = (anomalies[:4] ** 2).sum(axis=(0, 2, 3)) / counts.sum(axis=(1, 2))
    flat = (anomalies / np.sqrt(variance)[:, None, None]).reshape(6, -1)
    flat /= np.sqrt((flat[:4] ** 2).sum(axis=1).mean())
    inner, outer = pixels.products(train, test)
    np.testing.assert_allclose(inner, flat[:4] @ flat[:4].T, atol=1e-4)
    np.testing.assert_allclose(outer, flat[4:] @ flat[:4].T, atol=1e-4)
    np.testing.assert_allclose(outer[1], inner[0], atol=1e-6)  # the same frame


def test_pixels_in_parts_and_beside_memory_are_the_same(tmp_path, values, monkeypatch):
    images = write_images(tmp_path / "i.zarr", values)
    frames, rows = np.arange(30), (np.arange(20), np.arange(20, 30))
    whole = LabelledPixels(images, frames).products(*rows)
    monkeypatch.setattr("casestudies.satellite.pixels.RESIDENT_MEGABYTES", 0)
    monkeypatch.setattr("casestudies.satellite.pixels.TILE_MEGABYTES", 1e-3)
    parts = LabelledPixels(images, frames)
    assert isinstance(parts._packed, np.memmap)
    for a, b in zip(parts.products(*rows), whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_only_labelled_frames_are_read(tmp_path, values, monkeypatch):
    images = write_images(tmp_path / "i.zarr", values)
    seen: set[int] = set()
    read = images.packed

    def watch(frames):
        seen.update(int(frame) for frame in frames)
        return read(frames)

    monkeypatch.setattr(images, "packed", watch)
    LabelledPixels(images, np.array([4, 9, 9])).products(np.array([0, 1]), np.array([2]))
    assert seen == {4, 9}


def test_pixel_ridge_learns_a_pixel(tmp_path):
    rng = np.random.default_rng(1)
    found = rng.uniform(10, 90, (90, 1, 3, 3))
    images = write_images(tmp_path / "i.zarr", found)
    target = found[:, 0, 1, 1] / 30 + 0.01 * rng.normal(size=90)
    data = table(np.empty((90, 0)), rng).assign(row=np.arange(90))
    model = PixelRidge(LabelledPixels(images, np.arange(90)))
    predicted, _, _ = nested_cross_validation(model, data, target, contiguous(90), seed=0)
    assert np.corrcoef(predicted["observed"], predicted["predicted"])[0, 1] > 0.99
