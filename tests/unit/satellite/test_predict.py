"""The model that is kept, and predictions of new frames from it."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from casestudies.errors import InputError
from casestudies.satellite.encode import encode
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.predict import predict, read_model
from casestudies.satellite.save import save
from casestudies.satellite.season import calendar
from casestudies.tables import read_metadata, read_table, write_table
from tests.unit.satellite.tiny import DAYS, SIDE, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """The tiny study with its model; labels are natural logarithms."""
    folder = make_study(tmp_path_factory.mktemp("study"))
    samples = read_table(folder / "prepared.parquet")
    facts = read_metadata(folder / "prepared.parquet")
    about = {"log": True, "units": "DU", "long_name": "ozone aloft"}
    write_table(samples, folder / "prepared.parquet", {**facts, **about})
    encode(
        images=folder / "images.zarr",
        prepared=folder / "prepared.parquet",
        encoders=["pca", "random_features"],
        settings='{"pca": {"latent": 4}, "random_features": {"latent": 4}}',
        seed=1,
        checkpoint=folder / "checkpoints",
        features=folder / "features/all_images",
        weights=folder / "encoders/all_images",
    )
    keep(folder, folder / "model")
    return folder


def keep(folder: Path, to: Path) -> None:
    names = ("random_features", "pca")
    save(
        images=folder / "images.zarr",
        prepared=folder / "prepared.parquet",
        splits=folder / "blocked.parquet",
        features=[folder / f"features/all_images/{name}.parquet" for name in names],
        weights=[folder / f"encoders/all_images/{name}.safetensors" for name in names],
        heads=["ridge", "gaussian_process"],
        latent_sizes=[2, 4],
        units=["block"],
        seed=1,
        output=to,
    )


def write_netcdf(folder: Path, images: Images, **changes) -> Path:
    """Write the first and the following frames of a series as two CF files."""
    values = images.read(np.arange(12))
    variables = {
        channel.name: (("time", "y", "x"), values[:, k], {"units": changes.get("units", "K")})
        for k, channel in enumerate(images.channels)
    }
    axis = {"units": "degrees_north"}, {"units": "degrees_east"}
    dataset = xr.Dataset(
        variables,
        {
            "time": images.times[:12].astype("datetime64[ns]"),
            "y": ("y", np.arange(SIDE, dtype=float), axis[0]),
            "x": ("x", np.arange(SIDE, dtype=float), axis[1]),
        },
    )
    folder.mkdir()
    for k, part in enumerate((slice(0, 5), slice(5, 12))):
        dataset.isel(time=part).to_netcdf(folder / f"frames{k}.nc", engine="h5netcdf")
    return folder


def run(study: Path, images: Path, output: Path) -> pd.DataFrame:
    predict(model=study / "model", images=images, output=output)
    return pd.read_csv(output, parse_dates=["time"])


def test_predictions_are_of_every_frame_in_the_units_of_the_label(study, tmp_path):
    table = run(study, study / "images.zarr", tmp_path / "out.csv")
    assert list(table.columns) == ["time", "predicted", "lower", "upper", "missing", "distance"]
    assert len(table) == 3 * DAYS
    samples = read_table(study / "prepared.parquet")
    found = table.iloc[samples["frame"]]
    assert (table["lower"] > 0).all()  # no longer logarithms
    inside = np.exp(samples["label"].to_numpy())
    assert np.corrcoef(np.log(found["predicted"]), samples["label"])[0, 1] > 0.9
    assert ((found["lower"] < inside) & (inside < found["upper"])).mean() > 0.8
    assert table["missing"].between(0.02, 0.25).all()
    assert found["distance"].max() == pytest.approx(1, abs=1e-4)


def test_the_encoder_of_the_least_error_is_kept_as_it_was(study):
    model, _, fitted = read_model(study / "model")
    kept = (study / "model/encoder.safetensors").read_bytes()
    assert kept == (study / f"encoders/all_images/{model.encoder}.safetensors").read_bytes()
    assert fitted["labels"].shape == (DAYS,) and model.labels == DAYS
    assert fitted["latents"].shape == (DAYS, model.setting["size"])
    assert 0 < model.rmse < 0.5 and model.half_width > model.rmse


def test_the_same_seed_keeps_the_same_bytes(study, tmp_path):
    keep(study, tmp_path)
    for name in ("model.json", "labels.safetensors", "encoder.safetensors"):
        assert (tmp_path / name).read_bytes() == (study / "model" / name).read_bytes()


def test_cf_files_give_what_the_series_gives(study, tmp_path):
    folder = write_netcdf(tmp_path / "new", Images(study / "images.zarr"))
    table = run(study, folder, tmp_path / "out.csv")
    whole = run(study, study / "images.zarr", tmp_path / "whole.csv").iloc[:12]
    pd.testing.assert_frame_equal(table, whole, rtol=1e-2, atol=1e-3)


def test_netcdf_says_what_it_holds(study, tmp_path):
    predict(model=study / "model", images=study / "images.zarr", output=tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as dataset:
        assert dataset["predicted"].attrs["units"] == "DU"
        assert dataset.sizes["time"] == 3 * DAYS
        assert dataset.attrs["interval_coverage"] == 0.9
        assert (dataset["lower"] < dataset["upper"]).all()


def write_series(path: Path, values: np.ndarray, names=("a", "b"), units: str = "K") -> Path:
    channels = [Channel(name, units, name, -1000, 1000) for name in names]
    axes = [(np.arange(size, dtype=float), {"units": "1"}) for size in values.shape[2:]]
    with ImageWriter(path, channels, len(values), *axes) as writer:
        for k, frame in enumerate(values):
            writer.append(np.datetime64("2022-01-01T12") + np.timedelta64(k, "D"), frame)
    return path


def test_what_is_mostly_missing_or_far_away_is_warned_about(study, tmp_path, caplog):
    values = np.full((3, 2, SIDE, SIDE), 50.0)
    values[0, :, 1:] = np.nan
    values[1] += 400 * np.sin(np.arange(SIDE))
    caplog.set_level(logging.INFO)
    table = run(study, write_series(tmp_path / "new.zarr", values), tmp_path / "out.csv")
    assert "1 of 3 frames are mostly missing" in caplog.text
    assert "farther from the mean of the labelled frames" in caplog.text
    assert table["distance"][1] > 1 and table["missing"][0] == pytest.approx(7 / 8)
    assert table.notna().all(axis=None)


@pytest.mark.parametrize(
    ("shape", "names", "units", "message"),
    [
        ((2, 2, SIDE, SIDE), ("a", "c"), "K", "the channels a, c; the model was fitted to a, b"),
        ((2, 1, SIDE, SIDE), ("a",), "K", "has the channels a; the model"),
        ((2, 2, SIDE, SIDE), ("b", "a"), "K", "in the order b, a; the model wants a, b"),
        ((2, 2, SIDE + 1, SIDE), ("a", "b"), "K", "9 × 8 pixels; the model was fitted to 8 × 8"),
        ((2, 2, SIDE, SIDE), ("a", "b"), "degC", "in 'degC', the model in 'K'"),
    ],
)
def test_other_images_are_one_clear_message(study, tmp_path, shape, names, units, message):
    path = write_series(tmp_path / "new.zarr", np.full(shape, 50.0), names, units)
    with pytest.raises(InputError, match=message):
        run(study, path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_missing_folder_and_another_suffix_are_told(study, tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        run(study, tmp_path / "nowhere", tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"as \.csv or \.nc"):
        predict(model=study / "model", images=study / "images.zarr", output=tmp_path / "out.xls")


def test_a_model_that_is_none_or_damaged_is_one_clear_message(study, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_model(tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(study / "model", folder)
    content = json.loads((folder / "model.json").read_text())
    for change, message in [
        ({"format": 2}, "format is 2, and this version reads format 1"),
        ({"study": "mwas"}, "not a model of the satellite study"),
        ({"half_width": -1}, "half_width"),
        ({"setting": {"size": 2}}, "setting: size in place of"),
    ]:
        (folder / "model.json").write_text(json.dumps(content | change))
        with pytest.raises(InputError, match=message):
            read_model(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(InputError, match="not a JSON file"):
        read_model(folder)
    (folder / "model.json").write_text(json.dumps(content))
    with (folder / "labels.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"labels\.safetensors: is not the file"):
        read_model(folder)


def test_the_calendar_is_that_of_a_year_and_a_day():
    table = calendar(np.array(["2021-01-01T00", "2021-01-01T18"], "datetime64[s]"))
    np.testing.assert_allclose(table.iloc[0], [0, 1, 0, 1], atol=1e-12)
    np.testing.assert_allclose(table.iloc[1, 2:], [-1, 0], atol=1e-12)
