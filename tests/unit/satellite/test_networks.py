"""Autoencoders: shapes, masks, loader, resuming, and what each kind is for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.satellite import networks
from casestudies.satellite.architectures import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Geometry,
)
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.loader import Decoder, HeldImages, Loader, Pool, prefetched
from casestudies.satellite.networks import (
    Autoencoder,
    MaskedAutoencoder,
    TemporalAutoencoder,
    VariationalAutoencoder,
)
from casestudies.satellite.objective import masked_error, seen, with_mask
from casestudies.satellite.standardise import Standardiser
from casestudies.training.schedule import evaluation_steps

KINDS = [Autoencoder, MaskedAutoencoder, VariationalAutoencoder, TemporalAutoencoder]
SMALL = {"latent": 3, "width": 4, "steps": 30, "batch": 8}


def write(path, values):
    """Write hourly frames (n, channels, y, x) and open them."""
    channels = [
        Channel(f"c{k}", "1", f"channel {k}", float(np.nanmin(v)), float(np.nanmax(v)))
        for k, v in enumerate(values.swapaxes(0, 1))
    ]
    axes = [(np.arange(size), {"units": "1"}) for size in values.shape[2:]]
    start = np.datetime64("2020-01-01T00", "h")
    with ImageWriter(path, channels, len(values), *axes) as writer:
        for hour, frame in enumerate(values):
            writer.append(start + hour, frame)
    return Images(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """60 frames of 2 × 18 × 21: two moving waves, a gap, one frame without a valid pixel."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:18, :21] / 20
    phase = np.cumsum(rng.normal(0, 0.3, (60, 2)), axis=0)[..., None, None]
    wave = np.sin(4 * x + phase[:, 0]) + np.cos(5 * y + phase[:, 1])
    values = np.stack([wave, 5 + 0.1 * wave**2], axis=1) + rng.normal(0, 0.05, (60, 2, 18, 21))
    values[:, :, 4:7, 5:9] = np.nan
    values[::4, 1, :, 15:] = np.nan
    values[17] = np.nan
    return write(tmp_path_factory.mktemp("images") / "images.zarr", values)


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 3000), st.integers(4, 3000))
def test_every_image_size_comes_to_a_small_grid_that_covers_it(height, width):
    geometry = Geometry.of(3, height, width)
    rows, columns = geometry.grid
    step = geometry.patch * 2**geometry.levels
    assert (rows * step - height, columns * step - width) == geometry.padding
    assert max(geometry.padding) < step
    # One stretched far may need a side of few cells, but never many cells.
    assert rows * columns <= 256
    if min(height, width) >= 24 and max(height, width) < 2 * min(height, width):
        assert 3 <= rows <= 15 and 3 <= columns <= 15


@pytest.mark.parametrize("shape", [(1, 17, 16), (1, 25, 53), (4, 48, 48), (2, 100, 130)])
def test_decoder_mirrors_encoder(shape):
    geometry = Geometry.of(*shape)
    encoder, decoder = ConvolutionalEncoder(geometry, 4, 5), ConvolutionalDecoder(geometry, 4, 5)
    latents = encoder(torch.zeros(2, shape[0] + 1, *shape[1:]))
    assert latents.shape == (2, 5)
    assert decoder(latents).shape == (2, *shape)


def test_decoder_of_packed_frames_agrees_with_the_standardiser(images):
    standardiser = Standardiser.fit(images, np.arange(60))
    frames = np.array([3, 17, 40])
    values, valid = standardiser.apply(images.read(frames))
    raw = torch.from_numpy(images.packed(frames).view(np.int16))
    got, there = Decoder(images, standardiser, torch.device("cpu"))(raw)
    np.testing.assert_allclose(got.numpy(), values, atol=1e-4)
    np.testing.assert_array_equal(there.numpy(), valid)
    assert not valid[1].any() and (got[1] == 0).all()


def test_missing_pixels_have_no_part_in_loss_or_input():
    rng = torch.Generator().manual_seed(0)
    made, target = torch.randn(2, 3, 2, 4, 4, generator=rng)
    valid = torch.rand(3, 2, 4, 4, generator=rng) > 0.5
    error = masked_error(made, target, valid)
    assert error == pytest.approx(float(((made - target)[valid] ** 2).mean()), rel=1e-5)
    assert masked_error(made, target, valid & False) == 0
    hidden = seen(valid) * (torch.arange(4) > 1)
    shown = with_mask(target, hidden)
    assert shown.shape == (3, 3, 4, 4)
    assert (shown[..., :2] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_fit_transform_and_round_trip(kind, images):
    frames = np.arange(5, 55)
    first, second, other = kind(**SMALL), kind(**SMALL), kind(**SMALL)
    first.fit(images, frames, 4)
    second.fit(images, frames, 4)
    other.fit(images, frames, 5)
    latents = first.transform(images, np.arange(60))
    assert latents.shape == (60, 3) and latents.dtype == np.float32
    assert np.isfinite(latents).all()  # frame 17 has no valid pixel
    assert (latents == second.transform(images, np.arange(60))).all()
    assert (latents != other.transform(images, np.arange(60))).any()
    seen_in_training = first.transform(images, frames)
    np.testing.assert_array_equal(seen_in_training, latents[5:55])
    covariance = np.cov(seen_in_training, rowvar=False)
    assert (np.diff(np.diag(covariance)) <= 0).all()
    assert abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * covariance.max()
    back = kind.from_arrays(first.arrays(), first.settings)
    np.testing.assert_array_equal(back.transform(images, frames), seen_in_training)
    np.testing.assert_array_equal(
        back.reconstruct(images, frames), first.reconstruct(images, frames)
    )
    assert back.parameters == first.parameters > 0
    assert back.settings == first.settings
    steps = [row["step"] for row in first.curves]
    assert steps == evaluation_steps(30)
    assert np.isfinite([list(row.values()) for row in first.curves]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_reconstruction_beats_the_mean(kind, images):
    encoder = kind(**SMALL | {"steps": 150, "learning_rate": 0.01})
    frames = np.arange(60)
    encoder.fit(images, frames, 0)
    values, valid = encoder.standardiser.apply(images.read(frames))
    error = ((encoder.reconstruct(images, frames) - values) ** 2)[valid].mean()
    assert error < 0.6 * (values[valid] ** 2).mean()
    assert encoder.curves[-1]["training_loss"] < encoder.curves[0]["training_loss"]


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory_mb", [100.0, 0.05])
def test_killed_fit_resumes_to_the_same_weights(kind, memory_mb, images, tmp_path, monkeypatch):
    chosen = SMALL | {"memory_mb": memory_mb}
    whole = kind(**chosen)
    whole.fit(images, np.arange(60), 2)
    calls = 0
    once = kind._losses

    def losses(self, *arguments):
        nonlocal calls
        calls += 1
        if calls == 40:  # validation counts too
            raise Stopped
        return once(self, *arguments)

    path = tmp_path / "c.safetensors"
    monkeypatch.setattr(kind, "_losses", losses)
    with pytest.raises(Stopped):
        kind(**chosen).fit(images, np.arange(60), 2, checkpoint=path, checkpoint_every=0)
    assert path.exists()
    resumed = kind(**chosen)
    resumed.fit(images, np.arange(60), 2, checkpoint=path, checkpoint_every=0)
    assert calls < 40 + 50
    expected, got = whole.arrays(), resumed.arrays()
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    assert resumed.curves == whole.curves


def test_only_training_frames_are_read(images, monkeypatch):
    read = set()
    original = Images.packed

    def packed(self, frames):
        read.update(np.asarray(frames).tolist())
        return original(self, frames)

    monkeypatch.setattr(Images, "packed", packed)
    frames = np.r_[0:20, 35:60]
    for kind in KINDS:
        kind(**SMALL).fit(images, frames, 0)
        kind(**SMALL | {"memory_mb": 0.05}).fit(images, frames, 0)
    assert read == set(frames.tolist())


@pytest.mark.parametrize("megabytes", [100.0, 0.05])
def test_loader_shows_every_frame_once_an_epoch(images, megabytes):
    frames = np.r_[3:31, 40:60]
    loader = Loader(images, frames, torch.device("cpu"), megabytes)
    assert loader.resident == (megabytes == 100)
    seen_frames, per_epoch = (
        [],
        sum(-(-len(pool) // 5) for pool in loader.plan(np.random.default_rng(0))),
    )
    for step, pool, rows in loader.batches(7, 5, 0, per_epoch):
        assert step == len(seen_frames)
        assert len(pool.frames) <= loader.capacity
        np.testing.assert_array_equal(
            pool.raw.numpy().view(np.uint16)[rows], images.packed(pool.frames[rows])
        )
        seen_frames.append(pool.frames[rows])
    epochs = np.sort(np.concatenate(seen_frames))
    if loader.resident:
        np.testing.assert_array_equal(epochs, frames)
    tail = list(loader.batches(7, 5, 4, 12))
    every = list(loader.batches(7, 5, 0, 12))[4:]
    assert [step for step, *_ in tail] == list(range(4, 12))
    for (_, pool, rows), (_, pool_too, rows_too) in zip(tail, every, strict=True):
        np.testing.assert_array_equal(pool.frames[rows], pool_too.frames[rows_too])


@given(seed=st.integers(0, 1000), megabytes=st.floats(0.02, 0.2))
@settings(max_examples=20, deadline=None)
def test_an_epoch_is_a_partition_of_the_frames(images, seed, megabytes):
    frames = np.flatnonzero(np.random.default_rng(seed).random(60) < 0.7)
    loader = Loader(images, frames, torch.device("cpu"), megabytes)
    pools = loader.plan(np.random.default_rng(seed))
    assert max(map(len, pools)) <= loader.capacity
    np.testing.assert_array_equal(np.sort(np.concatenate(pools)), frames)


def test_prefetching_passes_errors_on_and_ends_its_thread():
    def broken():
        yield 1
        raise InputError("a chunk cannot be read")

    found = prefetched(broken())
    assert next(found) == 1
    with pytest.raises(InputError, match="chunk"):
        next(found)
    endless = prefetched(iter(int, 1))
    assert next(endless) == 0
    endless.close()
    assert list(prefetched(iter(range(5)))) == list(range(5))


def test_held_images_read_the_same(images):
    held = HeldImages(images, np.array([9, 2, 9, 30]))
    np.testing.assert_array_equal(held.read(np.array([30, 2, 2])), images.read([30, 2, 2]))


@given(st.integers(0, 10**6), st.floats(0.5, 6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_temporal_targets_are_other_frames_within_reach(seed, hours, drawn):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([1, 1, 1, 2, 15], 40)).astype(float)
    rows = rng.permutation(40)[:12]
    encoder = TemporalAutoencoder(hours=hours)
    pool = Pool(np.arange(40), torch.empty(0))
    targets = encoder._targets(pool, times, rows, rng if drawn else None)
    reach = max(hours, np.median(np.diff(times)))
    apart = abs(times[targets] - times[rows])
    assert (apart <= reach + 1e-6).all()
    for row, target in zip(rows, targets, strict=True):
        others = np.sum(abs(times - times[row]) <= reach) > 1
        assert (target != row) == others


def test_temporal_targets_are_all_reached():
    encoder, times = TemporalAutoencoder(hours=2), np.arange(9.0)
    pool, rng = Pool(np.arange(9), torch.empty(0)), np.random.default_rng(0)
    drawn = encoder._targets(pool, times, np.full(200, 4), rng)
    assert set(drawn.tolist()) == {2, 3, 5, 6}


def test_temporal_autoencoder_keeps_what_lasts(tmp_path):
    """A faint slow pattern under a strong fleeting one: only the temporal target finds it."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:16, :16] / 16
    state = np.zeros(400)
    for k in range(1, 400):
        state[k] = 0.97 * state[k - 1] + np.sqrt(1 - 0.97**2) * rng.normal()
    slow = 0.5 * state[:, None, None] * np.cos(2 * np.pi * x)
    fleeting = rng.normal(size=(400, 1, 1)) * np.cos(2 * np.pi * y)
    values = slow + fleeting + 0.1 * rng.normal(size=(400, 16, 16))
    images = write(tmp_path / "images.zarr", values[:, None])
    chosen = {"latent": 1, "width": 4, "steps": 200, "batch": 32, "learning_rate": 0.01}
    kept = {}
    for kind in (Autoencoder, TemporalAutoencoder):
        encoder = kind(**chosen)
        encoder.fit(images, np.arange(300), 0)
        latents = encoder.transform(images, np.arange(300, 400))[:, 0]
        kept[kind] = abs(np.corrcoef(latents, state[300:])[0, 1])
    assert kept[TemporalAutoencoder] > 0.9
    assert kept[Autoencoder] < 0.5


def test_masked_autoencoder_hides_patches():
    encoder = MaskedAutoencoder(hidden=0.5, cells=4)
    mask = torch.ones(50, 1, 16, 16)
    hidden = encoder._hide(mask, np.random.default_rng(0))
    assert 0.4 < hidden.mean() < 0.6
    assert (hidden.view(50, 4, 4, 4, 4).std(dim=(2, 4)) == 0).all()
    assert (mask == 1).all()


def test_frames_of_a_batch_are_fewer_where_they_are_large(images):
    class Large:
        shape = (10, 4, 2000, 2000)

    assert Autoencoder()._batch(Large()) == 1
    assert Autoencoder()._batch(images) == 32
    assert networks._PIXELS >= 4 * 2000**2


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (Autoencoder, {"latent": 0}),
        (Autoencoder, {"learning_rate": float("nan")}),
        (Autoencoder, {"weight_decay": -1}),
        (MaskedAutoencoder, {"hidden": 1.0}),
        (TemporalAutoencoder, {"hours": 0}),
    ],
)
def test_settings_out_of_range(kind, bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        kind(**bad)


def test_one_frame_is_not_enough(images):
    with pytest.raises(InputError, match="two frames"):
        Autoencoder(**SMALL).fit(images, np.array([3]), 0)
