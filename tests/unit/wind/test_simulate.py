"""Simulated terrain: deterministic, evenly drawn, described."""

import json

import numpy as np
import pytest

from casestudies.errors import InputError
from casestudies.wind.simulate import simulate
from casestudies.wind.terrain import read_terrains

SMALL = {"terrains": 8, "cells": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw")
    simulate(output=path, **SMALL)
    return path


def test_a_raw_folder_holds_terrains_and_what_they_rest_on(folder):
    assert {path.name for path in folder.iterdir()} == {"terrains.nc", "parameters.json"}
    found = read_terrains(folder / "terrains.nc")
    assert found.names == [f"field-{k:04d}" for k in range(8)]
    assert set(found.table["massif"]) == {"random field"} and (found.table["real"] == 0).all()
    stored = json.loads((folder / "parameters.json").read_text(encoding="utf-8"))
    assert stored["options"]["terrains"] == 8 and "output" not in stored["options"]
    assert stored["rejected"] == (found.table["rejected"] != "").sum()


def test_same_seed_same_terrain_other_seed_other_terrain(folder, tmp_path):
    simulate(output=tmp_path / "again", **SMALL)
    simulate(output=tmp_path / "other", **SMALL, seed=1)
    first, again, other = (
        read_terrains(path / "terrains.nc")
        for path in (folder, tmp_path / "again", tmp_path / "other")
    )
    np.testing.assert_array_equal(first.elevation, again.elevation)
    assert first.table.equals(again.table)
    assert (first.elevation != other.elevation).any(axis=(1, 2)).all()


def test_each_eighth_of_each_range_is_drawn_once(folder):
    table = read_terrains(folder / "terrains.nc").table
    table = table.assign(roughness=np.log(table["roughness"]))
    for name, low, high in (
        ("correlation_length", 250, 800),
        ("slope_rms", 0.05, 0.35),
        ("spectral_exponent", 3, 5),
        ("roughness", np.log(0.005), np.log(0.5)),
    ):
        place = (table[name] - low) / (high - low) * 8
        assert sorted(np.floor(place).astype(int)) == list(range(8)), name


def test_rejected_terrains_stay_on_record(tmp_path):
    simulate(output=tmp_path, **SMALL, relief=60.0)
    found = read_terrains(tmp_path / "terrains.nc")
    over = found.table["relief"] > 60
    assert len(found) == 8 and 0 < over.sum() < 8
    assert (found.table["rejected"].str.startswith("relief") == over).all()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"terrains": 0}, "--terrains"),
        ({"cells": 8}, "--cells"),
        ({"spacing": 0.0}, "--spacing"),
        ({"fringe": 0.5}, "--fringe"),
        ({"steepest": 0.0}, "--steepest"),
        ({"relief": float("nan")}, "--relief"),
        ({"correlation_length": (500.0, 100.0)}, "--correlation-length"),
        ({"slope": (0.0, 0.1)}, "--slope"),
        ({"spectral_exponent": (2.0, 4.0)}, "--spectral-exponent"),
        ({"roughness": (-1.0, 0.1)}, "--roughness"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(wrong, named, tmp_path):
    with pytest.raises(InputError, match=named):
        simulate(output=tmp_path / "raw", **{**SMALL, **wrong})
    assert not (tmp_path / "raw").exists()
