"""The image series: what is written comes back, and what is damaged is told."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.satellite import survey
from casestudies.satellite.images import Channel, Images, ImageWriter, block_means
from casestudies.satellite.survey import SurveyedImages

CHANNELS = [Channel("b", "K", "second letter", 200, 300), Channel("a", "1", "first", -1, 1)]
AXIS = (np.arange(6.0), {"units": "1"})


def frames(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.uniform([[[200]], [[-1]]], [[[300]], [[1]]], (count, 2, 6, 6)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def write(path: Path, values: np.ndarray) -> Images:
    with ImageWriter(path, CHANNELS, len(values), AXIS, AXIS, {"source": "test"}) as writer:
        for hour, frame in enumerate(values):
            writer.append(np.datetime64("2020-01-01T00") + np.timedelta64(hour, "h"), frame)
    return Images(path)


@given(count=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_what_is_written_comes_back(tmp_path_factory, count, seed):
    values = frames(count, seed)
    series = write(tmp_path_factory.mktemp("images") / "images.zarr", values)
    assert series.shape == values.shape and [c.name for c in series.channels] == ["b", "a"]
    order = np.random.default_rng(seed).permutation(count)
    read = series.read(order)
    np.testing.assert_array_equal(np.isnan(read), np.isnan(values[order]))
    np.testing.assert_allclose(read[:, 0], values[order, 0], atol=100 / 65533, rtol=0)
    np.testing.assert_allclose(read[:, 1], values[order, 1], atol=2 / 65533, rtol=0)
    assert series.times[0] == np.datetime64("2020-01-01T00")
    assert np.concatenate(list(series.batches(order, 1e-3))).tolist() == order.tolist()


def test_xarray_opens_the_store_in_its_units(tmp_path):
    import xarray as xr

    values = frames(5)
    write(tmp_path / "images.zarr", values)
    with xr.open_zarr(tmp_path / "images.zarr", consolidated=False) as opened:
        assert opened["b"].attrs["units"] == "K" and opened["b"].dims == ("time", "y", "x")
        np.testing.assert_allclose(opened["b"].to_numpy(), values[:, 0], atol=0.01)


def test_the_digest_tells_series_apart(tmp_path):
    values = frames(4)
    first = write(tmp_path / "a.zarr", values).attributes["digest"]
    assert write(tmp_path / "b.zarr", values).attributes["digest"] == first
    values[3, 1, 5, 5] = 0.123
    assert write(tmp_path / "c.zarr", values).attributes["digest"] != first


@pytest.mark.parametrize("fault", ["shape", "time", "range", "too few"])
def test_a_fault_leaves_nothing_behind(tmp_path, fault):
    path, values = tmp_path / "images.zarr", frames(3)
    with pytest.raises(ValueError), ImageWriter(path, CHANNELS, 3, AXIS, AXIS) as writer:
        writer.append(np.datetime64("2020-01-01T00"), values[0])
        if fault == "shape":
            writer.append(np.datetime64("2020-01-01T01"), values[1, :, 1:])
        elif fault == "time":
            writer.append(np.datetime64("2020-01-01T00"), values[1])
        elif fault == "range":
            writer.append(np.datetime64("2020-01-01T01"), values[1] + 1000)
    assert not list(tmp_path.iterdir())


def test_a_corrupt_chunk_is_one_message(tmp_path):
    write(tmp_path / "images.zarr", frames(8))
    for file in (tmp_path / "images.zarr/a/c").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match="channel 'a': a chunk cannot be read"):
        Images(tmp_path / "images.zarr").read(np.arange(8))


def test_another_folder_is_no_series(tmp_path):
    with pytest.raises(InputError, match="not a readable image series"):
        Images(tmp_path)


# Block means and moments ------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(1, 3), st.integers(3, 17), st.integers(3, 17), st.integers(1, 20), st.integers(0, 9)
)
def test_block_means(channels: int, rows: int, columns: int, count: int, seed: int):
    rng = np.random.default_rng(seed)
    valid = rng.random((2, channels, rows, columns)) < 0.7
    constant = np.where(valid, np.float32(2.5), np.float32(0))
    means = block_means(constant, valid, count)
    assert max(means.shape[2:]) <= max(count, 1)
    np.testing.assert_allclose(means[~np.isnan(means)], 2.5, rtol=1e-6)
    everywhere = np.ones_like(valid)
    assert not np.isnan(block_means(constant, everywhere, count)).any()
    np.testing.assert_array_equal(
        block_means(np.where(valid, constant, 0), np.zeros_like(valid), count), np.nan
    )


def test_block_means_against_a_loop():
    values = np.random.default_rng(0).standard_normal((2, 3, 8, 12)).astype(np.float32)
    means = block_means(values, np.ones(values.shape, bool), 4)
    assert means.shape == (2, 3, 3, 4)
    edges = [0, 3, 5, 8]  # eight rows in three blocks
    for row, (top, bottom) in enumerate(itertools.pairwise(edges)):
        for column in range(4):
            block = values[:, :, top:bottom, 3 * column : 3 * column + 3]
            np.testing.assert_allclose(means[:, :, row, column], block.mean((2, 3)), atol=1e-6)


def test_moments_are_those_of_the_valid_pixels(tmp_path):
    images = write(tmp_path / "images.zarr", frames(7))
    number, total, squares = np.moveaxis(images.moments(np.array([5, 2])), -1, 0)
    values = images.read(np.array([5, 2])).astype(float)
    values -= np.array([250, 0])[:, None, None]
    np.testing.assert_array_equal(number, (~np.isnan(values)).sum((2, 3)))
    np.testing.assert_allclose(total, np.nansum(values, (2, 3)), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(squares, np.nansum(values**2, (2, 3)), rtol=1e-5)


@pytest.mark.parametrize("resident", [0, 1 << 28])
def test_a_survey_tells_the_same_and_reads_once(tmp_path, monkeypatch, resident):
    monkeypatch.setattr(survey, "_RESIDENT_BYTES", resident)
    images = write(tmp_path / "images.zarr", frames(9))
    surveyed, some = SurveyedImages(images, [2, 4, 6, 96]), np.array([7, 0, 3])
    surveyed.survey()
    wanted = {side: images.block_means(some, side) for side in (2, 4)}
    moments = images.moments(some)

    def packed(frames):
        raise AssertionError("read again")

    monkeypatch.setattr(surveyed, "packed", packed)
    for side, means in wanted.items():
        for _ in range(2):
            np.testing.assert_array_equal(surveyed.block_means(some, side), means)
    np.testing.assert_array_equal(surveyed.moments(some), moments)
    surveyed.survey()
    with pytest.raises(AssertionError, match="read again"):
        surveyed.block_means(some, 6)  # its own pixels
