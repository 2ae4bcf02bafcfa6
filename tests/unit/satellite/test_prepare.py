"""Preparation: images and labels from raw files, what is counted and what is refused."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from casestudies.config.satellite import PAIRS
from casestudies.datasets import DATASETS
from casestudies.errors import InputError
from casestudies.satellite.images import Channel, Images, ImageWriter
from casestudies.satellite.prepare import assemble, match, prepare
from casestudies.satellite.readers.labels import Labels
from casestudies.tables import read_metadata, read_table

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2020-06-01T00", "s")
COLUMNS = [
    "sample",
    "time",
    "day",
    "period",
    "year",
    "frame",
    "season_sin",
    "season_cos",
    "hour_sin",
    "hour_cos",
]


def balloon(path: Path, time: np.datetime64, ozone: float, latitude: float = 50.0) -> None:
    """Write a WOUDC sounding with a constant partial pressure (mPa) from 1000 to 10 hPa."""
    date, clock = str(time).split("T")
    pressure = np.geomspace(1000, 10, 40)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#CONTENT\nClass,Category,Level,Form\nWOUDC,OzoneSonde,1.0,1\n"
        "#PLATFORM\nType,ID,Name\nSTN,1,Here\n"
        f"#LOCATION\nLatitude,Longitude,Height\n{latitude},3.0,10\n"
        f"#TIMESTAMP\nUTCOffset,Date,Time\n+00:00:00,{date},{clock}\n"
        "#PROFILE\nPressure,O3PartialPressure\n"
        + "".join(f"{p:.3f},{ozone:.3f}\n" for p in pressure)
    )


def images(
    folder: Path, day: int = 0, hours: int = 24, size: int = 6, units: str = "K", drop: tuple = ()
) -> Path:
    """Write a day of frames; frame h of day d holds 280 + h + 100 d and a gap."""
    values = 280 + np.arange(hours)[:, None, None] + np.zeros((hours, size, size))
    values[:, 0, 0] = np.nan
    keep = [hour for hour in range(hours) if hour not in drop]
    folder.mkdir(parents=True, exist_ok=True)
    xr.Dataset(
        {"t": (("time", "lat", "lon"), values[keep].astype("f4"), {"units": units})},
        {
            "time": START + (24 * day + np.array(keep)) * HOUR,
            "lat": ("lat", np.linspace(52, 47, size), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(0, 5, size), {"units": "degrees_east"}),
        },
    ).to_netcdf(folder / f"day{day}.nc", engine="scipy")
    return folder


OPTIONS = {
    "images": {"reader": "grid"},
    "soundings": {"reader": "woudc", "layer": [500, 200]},
    "tolerance": 1,
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two days of frames and five balloons: two share a frame, one is a month late."""
    folder = tmp_path / "raw"
    for day in (0, 1):
        images(folder / "images", day)
    for hours, ozone in ((5.3, 2.0), (5.1, 3.0), (30.2, 4.0), (47.4, 5.0), (750, 6.0)):
        time = START + np.timedelta64(int(hours * 3600), "s")
        balloon(folder / "soundings" / f"{hours:05}.csv", time, ozone)
    return folder


def run(folder: Path, output: Path, **options: object) -> tuple[pd.DataFrame, Images, dict]:
    prepare(
        kind="local",
        raw=[folder],
        options=json.dumps({**OPTIONS, **options}),
        images=output / "images.zarr",
        output=output / "prepared.parquet",
    )
    table = read_table(output / "prepared.parquet")
    return table, Images(output / "images.zarr"), read_metadata(output / "prepared.parquet")


def test_a_folder_of_ones_own(raw: Path, tmp_path: Path) -> None:
    table, series, about = run(raw, tmp_path / "out")
    assert list(table) == [*COLUMNS, "label"]
    assert series.shape == (48, 1, 6, 6) and series.times[0] == START
    values = series.read(np.array([0, 23, 24]))
    assert np.isnan(values[:, 0, 0, 0]).all() and np.isnan(values).sum() == 3
    np.testing.assert_allclose(values[:, 0, 2, 2], [280, 303, 280], atol=1e-3)
    assert table["frame"].tolist() == [5, 30, 47]
    assert table["day"].tolist() == pytest.approx([5 / 24, 30 / 24, 47 / 24])
    assert table["sample"].is_unique and table["sample"][0] == "20200601T050000"
    column = 7.891 * np.log(500 / 200)  # DU for 1 mPa
    assert table["label"].to_numpy() == pytest.approx(column * np.array([3.0, 4.0, 5.0]), rel=1e-3)
    assert np.hypot(table["season_sin"], table["season_cos"]).to_numpy() == pytest.approx(1)
    assert len(about.pop("images")) == 32
    assert about == {
        "long_name": "ozone between 500 and 200 hPa",
        "units": "DU",
        "log": False,
        "states": [],
        "neighbourhood": [2, 3],
        "station": {"latitude": 50.0, "longitude": 3.0},
        "frames": {"frames": 48, "dropped": 0, "missing": 0},
        "soundings": {"soundings": 5, "unusable": 0, "outside": 1, "superseded": 1},
    }


def test_the_same_files_give_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(raw, tmp_path / name)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 4
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_the_whole_column_and_its_logarithm(raw: Path, tmp_path: Path) -> None:
    soundings = {"reader": "woudc", "layer": "total"}
    table, _, about = run(raw, tmp_path / "out", soundings=soundings, log=True)
    column = 7.891 * (np.log(100) + 1)  # to the burst, and a constant mixing ratio above
    expected = np.log(column * np.array([3.0, 4.0, 5.0]))
    assert table["label"].to_numpy() == pytest.approx(expected, rel=1e-3)
    assert about["log"] is True


def test_a_table_of_labels(raw: Path, tmp_path: Path) -> None:
    (raw / "soundings" / "labels.csv").write_text(
        "time,value\n2020-06-01T10:00,1.5\n2020-06-01T14:00+02:00,2.5\n2021-01-01,9\n"
    )
    soundings = {"reader": "table", "long_name": "x", "units": "1", "latitude": 50, "longitude": 3}
    table, _, about = run(raw, tmp_path / "out", soundings=soundings)
    assert table["frame"].tolist() == [10, 12] and table["label"].tolist() == [1.5, 2.5]
    assert (about["long_name"], about["units"]) == ("x", "1")
    (raw / "soundings" / "labels.csv").write_text("time,value\nyesterday,1.5\n")
    with pytest.raises(InputError, match=r"labels\.csv: column time or value"):
        run(raw, tmp_path / "out", soundings=soundings)


# Bad input --------------------------------------------------------------------------------------


def test_missing_hours_and_empty_frames_are_counted(
    raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images(raw / "images", 1, drop=(3, 4, 5, 9))
    path = raw / "images" / "day0.nc"
    with xr.open_dataset(path, engine="scipy") as opened:
        dataset = opened.load()
    dataset["t"][7:9] = np.nan
    dataset.to_netcdf(path, engine="scipy")
    with caplog.at_level(logging.WARNING, "casestudies"):
        table, series, about = run(raw, tmp_path / "out")
    assert about["frames"] == {"frames": 42, "dropped": 2, "missing": 6}
    assert "2 frames have no valid pixel" in caplog.text
    assert "6 steps of 0 days 01:00:00 are missing" in caplog.text
    assert "at most 0 days 04:00:00 in a row" in caplog.text
    assert series.shape[0] == 42 and (np.diff(series.times) > np.timedelta64(0, "s")).all()
    assert (series.times[table["frame"]] == table["time"].to_numpy()).all()


def test_bad_images_are_refused(raw: Path, tmp_path: Path) -> None:
    folder, out = raw / "images", tmp_path / "out"

    def refused(message: str, **options: object) -> None:
        with pytest.raises(InputError, match=message):
            run(raw, out, **options)
        assert not (out / "prepared.parquet").exists() and not (out / "images.zarr").exists()
        assert not list(out.glob(".*"))

    images(folder, 1, size=7)
    refused(r"day1\.nc: frame of 7 × 7 pixels, where .*day0\.nc has 6 × 6")
    images(folder, 1, units="DU")
    refused(r"day1\.nc: t is in 'DU', which does not convert to 'K'")
    images(folder, 1)
    shutil.copy(folder / "day0.nc", folder / "day2.nc")
    refused(r"day2\.nc: its frame of 2020-06-01T00:00:00 is before that of")
    shutil.copy(folder / "day1.nc", folder / "day2.nc")
    refused(r"day2\.nc: its frame of .* is before that")
    (folder / "day2.nc").write_bytes(b"")
    refused(r"day2\.nc: the file is empty \(zero bytes\)")
    (folder / "day2.nc").write_bytes((folder / "day1.nc").read_bytes()[:-500])
    refused(r"day2\.nc: cannot be read .* cut short or damaged")
    (folder / "day2.nc").unlink()
    refused("no variable 'u'", images={"reader": "grid", "channels": ["u"]})
    shutil.rmtree(folder)
    refused("images: no such folder")
    folder.mkdir()
    refused(r"images: holds no file \*\.nc or")


def test_a_series_without_a_valid_pixel(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "images").glob("*.nc"):
        with xr.open_dataset(path, engine="scipy") as opened:
            dataset = opened.load()
        dataset["t"][:] = np.nan
        dataset.to_netcdf(path, engine="scipy")
    with pytest.raises(InputError, match="none of 48 frames has a valid pixel"):
        run(raw, tmp_path / "out")


def test_a_corrupt_chunk(tmp_path: Path, raw: Path) -> None:
    with xr.open_dataset(raw / "images" / "day0.nc", engine="scipy") as dataset:
        dataset.load().to_zarr(raw / "images" / "a.zarr", consolidated=False, zarr_format=2)
    for path in (raw / "images").glob("*.nc"):
        path.unlink()
    table, series, _ = run(raw, tmp_path / "out")
    assert series.shape[0] == 24 and table["frame"].tolist() == [5]
    (chunk,) = (raw / "images" / "a.zarr" / "t").glob("0.0.0")
    chunk.write_bytes(chunk.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"a\.zarr: cannot be read .* damaged"):
        run(raw, tmp_path / "out")


def test_bad_soundings_are_refused(raw: Path, tmp_path: Path) -> None:
    folder, out = raw / "soundings", tmp_path / "out"
    with pytest.raises(InputError, match="none of 5 soundings covers ozone between 9 and 5 hPa"):
        run(raw, out, soundings={"reader": "woudc", "layer": [9, 5]})
    balloon(folder / "z.csv", START, 3.0, latitude=-10)
    with pytest.raises(InputError, match=r"z\.csv: station Here at -10, 3 is not where the others"):
        run(raw, out)
    (folder / "z.csv").write_text("")
    with pytest.raises(InputError, match=r"z\.csv: the file is empty"):
        run(raw, out)
    for path in folder.glob("*.csv"):
        path.unlink()
    balloon(folder / "a.csv", START + 9000 * HOUR, 3.0)
    with pytest.raises(InputError, match=r"none of 1, .* is within 1 h of an image"):
        run(raw, out)
    assert not (out / "images.zarr").exists()
    balloon(folder / "a.csv", START, 3.0, latitude=10)
    with pytest.raises(InputError, match="the station at 10 °N, 3 °E is outside the images"):
        run(raw, out)
    table, _, about = run(raw, out, pixel=[1, 1])
    assert about["neighbourhood"] == [1, 1] and len(table) == 1
    with pytest.raises(InputError, match=r"'pixel': \[6, 1\] is not in images of 6 × 6"):
        run(raw, out, pixel=[6, 1])
    balloon(folder / "a.csv", START, 0.0)
    with pytest.raises(InputError, match="logarithm does not exist"):
        run(raw, out, log=True)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"images": {"reader": "gaos"}}, "--options: images: Input tag 'gaos'"),
        ({"images": {"reader": "grid", "qa": 0.5}}, r"images\.grid\.qa: Extra inputs are not"),
        ({"images": {"reader": "grid", "channels": "t"}}, "channels: Input should be a valid"),
        ({"soundings": {"reader": "woudc"}}, "soundings.woudc.layer: Field required"),
        ({"tolerance": 0}, "tolerance: Input should be greater than 0"),
        ({"tolerances": 1}, "tolerances: Extra inputs are not permitted"),
    ],
)
def test_wrong_options(raw: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(raw, tmp_path / "out", **options)


def test_wrong_kinds_and_folders(tmp_path: Path) -> None:
    there = {"images": tmp_path / "i", "output": tmp_path / "o"}
    with pytest.raises(InputError, match="nowhere: no such folder"):
        prepare(kind="local", raw=[tmp_path / "nowhere"], **there)
    with pytest.raises(InputError, match="--kind simulatd: did you mean 'simulated'"):
        prepare(kind="simulatd", raw=[tmp_path], **there)
    with pytest.raises(InputError, match="--raw: simulated needs one folder"):
        prepare(kind="simulated", raw=[tmp_path, tmp_path], **there)
    with pytest.raises(InputError, match="needs the folders of toms-omi-ozone, melb"):
        prepare(kind="melbourne-total-ozone", raw=[tmp_path], **there)
    with pytest.raises(InputError, match=r"OMI\.dat: no such file; it is fetched from https://"):
        prepare(kind="melbourne-total-ozone", raw=[tmp_path, tmp_path], **there)


# Matching ---------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=20, unique=True),
    st.lists(st.integers(-20, 120), min_size=1, max_size=20),
    st.integers(0, 30),
)
def test_every_label_meets_its_nearest_frame(
    frames: list[int], labels: list[int], tolerance: int
) -> None:
    at = START + np.sort(frames) * HOUR
    times = START + np.array(labels) * HOUR
    kept, frame, counts = match(at, times, tolerance * HOUR)
    distance = np.abs(at[:, None] - times)
    assert len(kept) + counts["outside"] + counts["superseded"] == len(labels)
    assert counts["outside"] == (distance.min(axis=0) > tolerance * HOUR).sum()
    assert (np.diff(frame) > 0).all()
    assert (distance[frame, kept] == distance.min(axis=0)[kept]).all()
    assert (distance[frame, kept] <= tolerance * HOUR).all()
    inside = distance.min(axis=0) <= tolerance * HOUR
    assert (len(kept) > 0) == bool(inside.any())


def test_a_label_that_is_no_number_is_counted() -> None:
    times = START + np.arange(3) * HOUR
    labels = Labels(times, np.array([1.0, np.nan, 3.0]), 0, 0, "x", "1")
    table, counts = assemble(times, labels, 0.5)
    assert table["frame"].tolist() == [0, 2] and counts["unusable"] == 1


# The data sets of the project -------------------------------------------------------------------


def test_simulated_data(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    times = START + np.array([8, 12, 16, 32, 36, 40]) * HOUR
    values = np.random.default_rng(0).random((6, 1, 5, 5)).astype(np.float32)
    values[:, :, 2, 2] = np.nan
    y = (np.linspace(52, 48, 5), {"units": "degrees_north"})
    x = (np.linspace(1, 5, 5), {"units": "degrees_east"})
    with ImageWriter(raw / "images.zarr", [Channel("a", "1", "a", 0, 1)], 6, y, x) as writer:
        for time, image in zip(times, values, strict=True):
            writer.append(time, image)
    for k, time in enumerate(times[[1, 4]]):
        balloon(raw / "soundings" / f"{k}.csv", time, 2.0 + k)
    states = pd.DataFrame({"time": times, "state_0": np.arange(6.0), "label": 9.0})
    states.to_csv(raw / "states.csv", index=False)
    layer = {"layer": {"bottom": 500.0, "top": 200.0, "units": "hPa"}}
    (raw / "parameters.json").write_text(json.dumps({"label": layer}))
    (raw / "images.zarr/.snakemake_timestamp").touch()
    arguments = {"kind": "simulated", "raw": [raw], "images": out / "i.zarr"}
    prepare(**arguments, output=out / "p.parquet")
    table = read_table(out / "p.parquet")
    assert list(table) == [*COLUMNS, "state_0", "label"]
    assert table["state_0"].tolist() == [1.0, 4.0] and table["frame"].tolist() == [1, 4]
    column = 7.891 * np.log(2.5) * np.array([2.0, 3.0])
    assert table["label"].to_numpy() == pytest.approx(np.log(column), rel=1e-3)
    about = read_metadata(out / "p.parquet")
    assert about["log"] and about["states"] == ["state_0"] and about["neighbourhood"] == [2, 2]
    np.testing.assert_array_equal(
        Images(out / "i.zarr").packed(np.arange(6)),
        Images(raw / "images.zarr").packed(np.arange(6)),
    )
    # Linked, so that a year of large images lies on the disk once; each folder has its own stamp.
    chunks = [path.stat() for path in (out / "i.zarr/a").rglob("*") if path.is_file()]
    assert min(chunk.st_nlink for chunk in chunks) == 2
    assert not (out / "i.zarr/.snakemake_timestamp").exists()
    states.iloc[1:].to_csv(raw / "states.csv", index=False)
    with pytest.raises(InputError, match=r"states\.csv: its times are not those of images"):
        prepare(**arguments, output=out / "p.parquet")
    (raw / "parameters.json").write_text("{}")
    with pytest.raises(InputError, match=r"parameters\.json: gives no layer"):
        prepare(**arguments, output=out / "p.parquet")


def published(kind: str, mirror: Path, output: Path) -> tuple[pd.DataFrame, Images, dict]:
    prepare(
        kind=kind,
        raw=[mirror / name for name in PAIRS[kind]],
        images=output / "images.zarr",
        output=output / "prepared.parquet",
    )
    table = read_table(output / "prepared.parquet")
    return table, Images(output / "images.zarr"), read_metadata(output / "prepared.parquet")


@pytest.mark.published
@pytest.mark.parametrize("kind", [name for name in PAIRS if name.startswith("melbourne")])
def test_ozone_over_melbourne(mirror: Path, tmp_path: Path, kind: str) -> None:
    table, series, about = published(kind, mirror, tmp_path)
    assert series.shape == (643, 1, 17, 16) and about["neighbourhood"] == [12, 14]
    assert about["soundings"]["soundings"] == len(DATASETS["melbourne-ozonesondes"].files) == 456
    missing = np.isnan(series.read(np.arange(643))).mean()
    assert missing == pytest.approx(0.1667, abs=1e-3)
    if kind == "melbourne-total-ozone":
        assert len(table) == 299 and about["soundings"]["unusable"] == 13
        assert 280 < table["label"].median() < 320
        # The satellite saw the same ozone.
        seen = series.read(table["frame"].to_numpy())[:, 0, 12, 14]
        both = np.isfinite(seen)
        assert np.corrcoef(seen[both], table["label"][both])[0, 1] > 0.6
    else:
        assert len(table) == 305 and 12 < table["label"].median() < 20


@pytest.mark.published
def test_a_withheld_city(mirror: Path, tmp_path: Path) -> None:
    table, series, about = published("edmonton-air-temperature", mirror, tmp_path)
    row, column = about["neighbourhood"]
    assert (row, column) == (9, 19) and series.shape == (2920, 1, 25, 53)
    missing = np.isnan(series.read(np.arange(2920)))
    assert (missing.all(axis=0) == missing.any(axis=0)).all()
    assert missing[0, 0].sum() == 49 and missing[0, 0, 6:13, 16:23].all()
    assert len(table) == 105 and (table["time"].dt.hour == 18).all()
    store = xr.open_zarr(mirror / "nmc-air-temperature" / "air_temperature.zarr")
    truth = store["air"].isel(lat=9, lon=19).sel(time=table["time"].to_numpy())
    np.testing.assert_allclose(table["label"], truth, atol=1e-3)


@pytest.mark.published
def test_ozone_at_mauna_loa(mirror: Path, tmp_path: Path) -> None:
    table, series, about = published("mauna-loa-ozone", mirror, tmp_path)
    assert not np.isnan(series.read(np.arange(50))).any()
    assert len(table) == 521 and about["units"] == "nmol mol-1"
    assert (table["time"].dt.hour == 12).all() and 30 < table["label"].mean() < 50
