"""Encoders in closed form: exact where theory says so, blind to gaps, same seed same bytes."""

from pathlib import Path

import numpy as np
import pytest

from casestudies.errors import InputError
from casestudies.satellite.encoders import (
    Components,
    PrincipalComponents,
    RandomFeatures,
    neighbours,
    slow_directions,
)
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.registry import ENCODERS, NETWORKS, encoder_class
from casestudies.satellite.standardise import Standardiser
from casestudies.satellite.survey import SurveyedImages

CLOSED = sorted(set(ENCODERS) - set(NETWORKS))
SMALL = {
    "pca": {"latent": 6},
    "slow_features": {"latent": 6, "side": 4, "components": 20},
    "random_features": {"latent": 6, "filters": 8, "cells": 4},
    "slow_random_features": {"latent": 6, "filters": 8, "cells": 4, "components": 20},
}


def write(path: Path, frames: np.ndarray) -> Images:
    """Write frames, eight hours a day, as a series with a channel for each of theirs."""
    channels = [Channel(f"c{k}", "1", f"channel {k}", -20, 20) for k in range(frames.shape[1])]
    axes = [(np.arange(n, dtype=float), {"units": "1"}) for n in frames.shape[2:]]
    with ImageWriter(path, channels, len(frames), *axes) as writer:
        for k, frame in enumerate(frames):
            hours = 24 * (k // 8) + k % 8
            writer.append(np.datetime64("2020-01-01T08", "s") + np.timedelta64(hours, "h"), frame)
    return Images(path)


def series(seed: int, count: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Return frames (count, 2, 12, 16) and the slow state (count,) that is weak in them."""
    rng = np.random.default_rng(seed)
    day = np.cumsum(rng.standard_normal(count // 8))
    state = np.repeat((day - day.mean()) / day.std(), 8)
    y, x = np.mgrid[:12, :16]
    frames = 0.7 * rng.standard_normal((count, 2, 12, 16))
    frames[:, 0] += 0.5 * state[:, None, None] * np.sin(x / 4)
    frames[:, 1] += 2 * rng.standard_normal((count, 1, 1)) * np.cos(y / 3)  # strong but fast
    frames[:, :, 5:7, 5:7] = np.nan
    swath = rng.random(count) < 0.3
    frames[swath, :, :, 3:5] = np.nan
    return frames, state


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    frames, _ = series(0)
    frames[17] = np.nan
    return write(tmp_path_factory.mktemp("series") / "images.zarr", frames)


def test_standardiser(images: Images):
    frames = np.arange(20, 120)
    standardiser = Standardiser.fit(images, frames)
    values = images.read(frames)
    np.testing.assert_allclose(standardiser.mean, np.nanmean(values, (0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(standardiser.std, np.nanstd(values, (0, 2, 3)), rtol=1e-5)
    standardised, valid = standardiser.apply(values)
    np.testing.assert_array_equal(valid, ~np.isnan(values))
    assert (standardised[~valid] == 0).all()
    assert standardised.dtype == np.float32
    np.testing.assert_allclose(
        standardiser.restore(standardised)[valid], values[valid], rtol=1e-4, atol=1e-5
    )


def test_standardiser_wants_a_valid_pixel(images: Images):
    with pytest.raises(InputError, match="channel 'c0' has no valid pixel"):
        Standardiser.fit(images, np.array([17]))


@pytest.mark.parametrize("name", CLOSED)
def test_encoder(name: str, images: Images):
    kind, frames = encoder_class(name), np.arange(0, 180)
    encoder, again, other = (kind(**SMALL[name]) for _ in range(3))
    encoder.fit(images, frames, 1)
    latents = encoder.transform(images, np.arange(240))
    assert latents.shape == (240, 6)
    assert latents.dtype == np.float32
    assert np.isfinite(latents).all()
    assert latents[17] == pytest.approx(0)  # nothing seen, nothing said
    # An image is encoded alone, whatever comes with it.
    np.testing.assert_allclose(
        encoder.transform(images, np.array([200, 3])), latents[[200, 3]], atol=1e-4
    )
    again.fit(images, frames, 1)
    assert again.transform(images, np.arange(240)).tobytes() == latents.tobytes()
    loaded = kind.from_arrays(encoder.arrays(), encoder.settings)
    assert loaded.transform(images, np.arange(240)).tobytes() == latents.tobytes()
    assert loaded.parameters == sum(a.size for a in encoder.arrays().values())
    assert kind(**encoder.settings).settings == encoder.settings
    other.fit(images, frames, 2)
    if "random" in name:
        assert not np.allclose(other.transform(images, frames), latents[frames], atol=1e-3)


@pytest.mark.parametrize("name", CLOSED)
def test_frames_not_given_are_not_seen(name: str, images: Images, tmp_path: Path):
    changed = images.read(np.arange(240))
    changed[180:] = 3 * changed[180:] + 1
    encoder, other = encoder_class(name)(**SMALL[name]), encoder_class(name)(**SMALL[name])
    encoder.fit(images, np.arange(180), 1)
    other.fit(write(tmp_path / "changed.zarr", changed), np.arange(180), 1)
    for key, array in encoder.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[key])


@pytest.mark.parametrize("name", ["slow_features", "slow_random_features"])
def test_slow_features_find_the_slow_state(name: str, tmp_path: Path):
    frames, state = series(3, count=960)
    data = write(tmp_path / "images.zarr", frames)
    found = {}
    for kind in (name, "pca"):
        encoder = encoder_class(kind)(**SMALL[kind])
        encoder.fit(data, np.arange(640), 0)
        first = encoder.transform(data, np.arange(640, 960))[:, 0]
        found[kind] = abs(np.corrcoef(first, state[640:])[0, 1])
    assert found[name] > 0.9
    assert found["pca"] < 0.5


def test_components_of_complete_vectors_are_exact():
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((200, 30)) * 0.8 ** np.arange(30)).astype(np.float32) + 5
    model = Components.fit(vectors, 6, rng)
    centred = vectors - vectors.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(model.variances, values[:6] ** 2 / 200, rtol=1e-3)
    expected = centred @ axes[:6].T
    scores = model.scores(vectors)
    np.testing.assert_allclose(scores * np.sign((scores * expected).sum(0)), expected, atol=0.02)


def test_missing_entries_are_expected_from_valid_ones():
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 40))
    vectors = (vectors + 0.05 * rng.standard_normal((300, 40))).astype(np.float32)
    gappy = vectors.copy()
    for row in range(0, 300, 2):
        start = rng.integers(0, 30)
        gappy[row, start : start + 10] = np.nan
    gappy[:, 39] = np.nan
    model = Components.fit(gappy, 3, rng)
    full = model.scores(np.where(np.arange(40) == 39, np.nan, vectors).astype(np.float32))
    np.testing.assert_allclose(model.scores(gappy), full, atol=0.25)
    at_mean = np.nan_to_num(gappy - model.mean) @ model.axes
    assert np.abs(model.scores(gappy) - full).max() < 0.2 * np.abs(at_mean - full).max()


def test_rank_below_the_components_is_padded():
    rng = np.random.default_rng(2)
    vectors = (rng.standard_normal((50, 2)) @ rng.standard_normal((2, 9))).astype(np.float32)
    model = Components.fit(vectors, 5, rng)
    assert model.axes.shape == (9, 5)
    assert (model.scores(vectors)[:, 2:] == 0).all()


@pytest.mark.parametrize("name", CLOSED)
def test_a_fold_learns_nothing_from_frames_outside_it(name: str, tmp_path: Path):
    frames, _ = series(0)
    other = frames.copy()
    other[180:] = np.clip(2 - 1.7 * other[180:], -20, 20)
    learned = []
    for k, values in enumerate((frames, other)):
        surveyed = SurveyedImages(write(tmp_path / f"{k}.zarr", values), [4])
        surveyed.survey()  # reads all frames, whatever is trained on
        encoder = encoder_class(name)(**SMALL[name])
        encoder.fit(surveyed, np.arange(180), 1)
        learned.append(encoder.arrays())
    for key, array in learned[0].items():
        np.testing.assert_array_equal(learned[1][key], array)


def test_what_a_gap_holds_does_not_hang_on_rounding():
    # As many components as entries leave no noise, and without noise a gap could hold anything.
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal((300, 12)) @ rng.standard_normal((12, 12))).astype(np.float32)
    vectors[::3, 4:9] = np.nan
    shaken = vectors * (1 + 1e-6 * rng.standard_normal(vectors.shape).astype(np.float32))
    scores, other = (
        Components.fit(one, 12, np.random.default_rng(0)).scores(one) for one in (vectors, shaken)
    )
    assert np.abs(scores - other).max() < 0.01 * scores.std()


def test_neighbours_are_hours_of_one_day(images: Images):
    pairs = neighbours(images.times, np.arange(4, 28))
    first = np.arange(4, 28)[pairs[:, 0]]
    assert (first % 8 != 7).all()
    assert len(pairs) == 3 + 7 + 7 + 3
    assert not len(neighbours(images.times, np.array([1, 3, 5])))


def test_slow_directions_have_unit_change():
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.standard_normal(100), 5)
    scores = np.c_[rng.standard_normal(500), slow + 0.3 * rng.standard_normal(500)]
    mixed = scores @ np.array([[2.0, 1.0], [0.5, 3.0]])
    pairs = np.stack([np.arange(499), np.arange(1, 500)], 1)
    pairs = pairs[pairs[:, 0] % 5 != 4]
    features = mixed @ slow_directions(mixed, pairs, 0.0)
    change = features[pairs[:, 1]] - features[pairs[:, 0]]
    np.testing.assert_allclose((change**2).mean(0), 1, rtol=1e-4)
    assert abs(np.corrcoef(features[:, 0], slow)[0, 1]) > 0.9


def test_what_cannot_be_is_said(images: Images):
    with pytest.raises(InputError, match="latent is 0; give at least 1"):
        PrincipalComponents(latent=0)
    with pytest.raises(InputError, match="do not fit"):
        RandomFeatures(patch=13).fit(images, np.arange(50), 0)
    with pytest.raises(InputError, match="neighbours in time"):
        encoder_class("slow_features")().fit(images, np.arange(0, 240, 3), 0)
    with pytest.raises(InputError, match="unknown encoder 'pcaa'; did you mean 'pca'"):
        encoder_class("pcaa")
