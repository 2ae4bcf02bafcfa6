"""The comparison of two runs sees the last bit, and passes over what was measured."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from safetensors.numpy import save_file

from casestudies.tables import write_table
from tests.comparison import differences, same_tables

FRAME = pd.DataFrame({"sample": ["a", "b", "c"], "predicted": [1.0, np.nan, 3.0]})


def write(folder, predicted=3.0, seconds=1.0, folds=(0, 1, 1)):
    """Write a small folder of results of every kind."""
    frame = FRAME.assign(fold=list(folds), seconds=seconds)
    frame.loc[2, "predicted"] = predicted
    write_table(frame, folder / "study/predictions.parquet", {"seconds": seconds, "seed": 1})
    write_table(frame, folder / "study/scores.csv")
    grid = xr.Dataset({"u": ("x", [0.0, predicted]), "seconds": ("x", [seconds, seconds])})
    grid.to_netcdf(folder / "study/flows.nc", engine="h5netcdf")
    grid.drop_vars("seconds").to_zarr(folder / "study/images.zarr", consolidated=False)
    save_file({"weights": np.array([predicted])}, folder / "study/model.safetensors")
    model = {"terms": [{"value": predicted, "seconds": seconds}], "sha256": str(predicted)}
    (folder / "study/model.json").write_text(json.dumps(model))
    (folder / "study/provenance.json").write_text(json.dumps({"seconds": seconds}))
    (folder / "study/finding.txt").write_text(f"It took {seconds} s.\n")
    return folder


@pytest.fixture
def known(tmp_path):
    return write(tmp_path / "known")


def test_times_do_not_matter(known, tmp_path):
    same_tables(known, write(tmp_path / "other", seconds=2.0))


def test_the_last_bit_matters_unless_a_tolerance_is_given(known, tmp_path):
    other = write(tmp_path / "other", predicted=float(np.nextafter(3.0, 4.0)))
    assert [line.split(":")[0] for line in differences(known, other)] == [
        "study/flows.nc",
        "study/images.zarr",
        "study/model.json",
        "study/model.safetensors",
        "study/predictions.parquet",
        "study/scores.csv",
    ]
    same_tables(known, other, tolerance=1e-12)
    with pytest.raises(AssertionError, match=r"predictions\.parquet"):
        same_tables(known, write(tmp_path / "far", predicted=3.1), tolerance=1e-12)


def test_whole_numbers_have_no_tolerance(known, tmp_path):
    other = write(tmp_path / "other", folds=(0, 1, 2))
    with pytest.raises(AssertionError, match="fold"):
        same_tables(known, other, tolerance=1.0)


def test_a_missing_result_is_named(known, tmp_path):
    other = shutil.copytree(known, tmp_path / "other")
    (other / "study/scores.csv").unlink()
    (other / ".hidden").mkdir()
    with pytest.raises(AssertionError, match=r"study/scores\.csv: only in .*known"):
        same_tables(known, other)
    with pytest.raises(AssertionError, match="no results"):
        same_tables(other / ".hidden", other)


def test_a_row_too_many_is_found(known, tmp_path):
    other = shutil.copytree(known, tmp_path / "other")
    write_table(pd.concat([FRAME, FRAME]), other / "study/predictions.parquet", {"seed": 1})
    assert len(differences(known, other)) == 1
