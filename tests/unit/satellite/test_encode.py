"""The step: latents of every frame, weights that load again, test folds unseen."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from casestudies.config.schemes import Blocked
from casestudies.errors import InputError
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.satellite.encode import encode, load_encoder
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.tables import read_metadata, read_table, write_table

COUNT = 120


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    axis = (np.arange(10.0), {"units": "1"})
    with ImageWriter(
        folder / "images.zarr", [Channel("a", "1", "a", -9, 9)], COUNT, axis, axis
    ) as writer:
        for k in range(COUNT):
            time = np.datetime64("2020-01-01", "s") + np.timedelta64(6 * k, "h")
            writer.append(time, rng.standard_normal((1, 10, 10)).clip(-9, 9))
    frame = np.arange(2, COUNT, 4)
    samples = pd.DataFrame(
        {
            "sample": [f"s{k}" for k in frame],
            "day": frame / 4,
            "frame": frame,
            "label": rng.standard_normal(len(frame)),
        }
    )
    write_table(samples, folder / "prepared.parquet")
    folds = make_folds(samples, "label", Blocked(time="day", blocks=3, gap=2, inner_folds=2), 0)
    write_table(folds_to_table(folds, samples), folder / "splits.parquet")
    return {"images": folder / "images.zarr", "prepared": folder / "prepared.parquet"}


def run(inputs: dict[str, Path], output: Path, **changes) -> dict[str, Path]:
    settings = {"encoders": ["pca"], "settings": '{"pca": {"latent": 4}}', "seed": 1}
    folders = {"features": output, "weights": output, "checkpoint": output / "checkpoint"}
    encode(**{**inputs, **settings, **folders, **changes})
    return {
        "features": output / "pca.parquet",
        "weights": output / "pca.safetensors",
        "curves": output / "pca_curves.parquet",
    }


def test_one_encoder_a_fold(inputs: dict[str, Path], tmp_path: Path):
    splits = inputs["images"].with_name("splits.parquet")
    files = run(inputs, tmp_path, splits=splits, gap=2.0)
    table = read_table(files["features"])
    assert list(table) == ["fold", "frame", "z0", "z1", "z2", "z3"]
    assert len(table) == 3 * COUNT
    images = Images(inputs["images"])
    for fold, part in table.groupby("fold"):
        np.testing.assert_array_equal(part["frame"], np.arange(COUNT))
        latents = load_encoder(files["weights"], fold).transform(images, np.arange(COUNT))
        np.testing.assert_array_equal(part.iloc[:, 2:].to_numpy(), latents)
    metadata = read_metadata(files["features"])
    # Days 10.5 to 19.5 are the middle block; two days either side are out too.
    assert metadata["trained_on"]["1"]["frames"] == COUNT - (4 * 13 + 1)
    assert metadata["trained_on"]["0"]["last"] == "2020-01-30T18:00:00"
    assert metadata["settings"] == {"latent": 4, "side": 96}
    assert metadata["parameters"] > 0
    assert {"seconds", "joules", "co2e_kg", "device", "seed"} <= set(metadata)
    curves = read_table(files["curves"])
    assert list(curves) == ["fold", "step", "training_loss", "validation_loss"]
    assert curves.empty


def test_several_encoders_are_as_each_alone(inputs: dict[str, Path], tmp_path: Path):
    alone = run(inputs, tmp_path / "alone")
    both = run(inputs, tmp_path / "both", encoders=["slow_features", "pca"])
    for name, path in alone.items():
        assert path.read_bytes() == both[name].read_bytes() or name == "features"
    pd.testing.assert_frame_equal(read_table(alone["features"]), read_table(both["features"]))
    assert read_metadata(tmp_path / "both/slow_features.parquet")["settings"]["latent"] == 32


def test_all_images(inputs: dict[str, Path], tmp_path: Path):
    files = run(inputs, tmp_path / "first")
    table = read_table(files["features"])
    assert (table["fold"] == -1).all()
    assert read_metadata(files["features"])["trained_on"]["-1"]["frames"] == COUNT
    again = run(inputs, tmp_path / "second")
    assert files["weights"].read_bytes() == again["weights"].read_bytes()
    with safe_open(files["weights"], framework="np") as file:
        assert json.loads(file.metadata()["casestudies"])["encoder"] == "pca"
    with pytest.raises(InputError, match="holds no fold 0; it has -1"):
        load_encoder(files["weights"], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoders": ["pac"], "settings": "{}"}, "unknown encoder 'pac'; did you mean 'pca'"),
        ({"settings": '{"pca": {"latents": 4}}'}, "unexpected keyword argument 'latents'"),
        ({"settings": '{"pca": {"latent": 0}}'}, "latent is 0"),
        ({"settings": '{"pcas": {}}'}, "did you mean 'pca'"),
        ({"settings": "{"}, "not JSON"),
    ],
)
def test_wrong_settings(
    inputs: dict[str, Path], tmp_path: Path, changes: dict[str, str], message: str
):
    with pytest.raises(InputError, match=message):
        run(inputs, tmp_path, **changes)
    assert not (tmp_path / "pca.parquet").exists()


def test_frames_of_other_images(inputs: dict[str, Path], tmp_path: Path):
    table = read_table(inputs["prepared"])
    table.loc[3, "frame"] = COUNT
    write_table(table, tmp_path / "prepared.parquet")
    with pytest.raises(InputError, match="points outside the 120 frames"):
        run({**inputs, "prepared": tmp_path / "prepared.parquet"}, tmp_path)


def test_damaged_weights(tmp_path: Path):
    (tmp_path / "x.safetensors").write_bytes(b"no encoder")
    with pytest.raises(InputError, match="not a readable encoder"):
        load_encoder(tmp_path / "x.safetensors")
