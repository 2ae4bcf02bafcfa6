"""The step that fits baselines: what it writes, and that nothing of a test fold leaks."""

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.tables import read_metadata, read_table
from casestudies.wind.fit import cross_validate, fit
from casestudies.wind.flows import (
    calibration_part,
    mirrored,
    read_flows,
    read_samples,
    read_usable_folds,
)
from casestudies.wind.models import make_model
from tests.unit.wind.tiny import REJECTED, TERRAINS, make_study

SEEDS = {"gradient_boosting": 11}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("fit"))


def error(table):
    return float(((table["predicted"] - table["observed"]) ** 2).mean())


def run(study, folder, *models):
    paths = {name: folder / name for name in ("output", "inner", "choices")}
    given = {name: study.given[name] for name in ("prepared", "samples", "splits")}
    seeds = [SEEDS.get(name, 3) for name in models]
    fit(**given, models=list(models), seeds=seeds, units=["sample"], **paths)
    return [read_table(path / f"{models[0]}.parquet") for path in paths.values()]


def test_every_interior_cell_of_every_terrain_is_predicted_once(study, tmp_path):
    predicted, inner, choices = run(study, tmp_path, "ridge")
    assert len(predicted) == (TERRAINS - 1) * 64
    assert not predicted.duplicated(["sample", "point"]).any()
    assert study.flows.names[REJECTED] not in set(predicted["sample"])
    assert predicted.notna().all(axis=None)
    assert {"u", "v", "w", "lower", "upper"} <= set(predicted.columns)
    np.testing.assert_allclose(
        predicted["predicted"], np.hypot(predicted["u"], predicted["v"]), rtol=1e-5
    )
    assert set(predicted["point"]) == {16 * y + x for y in range(4, 12) for x in range(4, 12)}
    assert len(inner) == sum(len(test) for fold in study.folds for _, test in fold.inner) * 64
    assert choices.groupby("fold")["chosen"].sum().eq(1).all()
    covered = predicted["observed"].between(predicted["lower"], predicted["upper"]).mean()
    assert 0.75 < covered < 1


def test_every_model_has_its_files_whatever_else_is_fitted(study, tmp_path):
    models = ("gradient_boosting", "linear", "ridge")
    several = run(study, tmp_path / "several", *models)
    alone = run(study, tmp_path / "alone", "gradient_boosting")
    for both, one in zip(several, alone, strict=True):
        pd.testing.assert_frame_equal(both, one, check_exact=True)
    for kind in ("output", "inner", "choices"):
        written = sorted(path.stem for path in (tmp_path / "several" / kind).iterdir())
        assert written == sorted(models)
    facts = read_metadata(tmp_path / "several/output/gradient_boosting.parquet")
    assert (facts["model"], facts["seed"]) == ("gradient_boosting", 11) and facts["seconds"] > 0


def test_nothing_is_fitted_if_a_model_is_unknown(study, tmp_path):
    with pytest.raises(InputError, match="did you mean 'ridge'"):
        run(study, tmp_path, "log_law", "rigde")
    assert not list(tmp_path.iterdir())


def test_the_flow_over_test_terrains_is_not_looked_at(study, tmp_path):
    fold = study.folds[0]
    other = make_study(tmp_path, spoil=fold.test)
    for name in ("ridge", "gradient_boosting", "nearest_terrains"):
        parts = [
            cross_validate(make_model(name, one.flows), one.flows, [fold], 1, name)
            for one in (study, other)
        ]
        own, spoiled = (part[0] for part in parts)
        np.testing.assert_array_equal(own["predicted"], spoiled["predicted"])
        assert not np.allclose(own["observed"], spoiled["observed"])
        np.testing.assert_array_equal(parts[0][2]["inner_loss"], parts[1][2]["inner_loss"])


def test_shuffled_flows_leave_nothing_to_learn(study, tmp_path):
    other = make_study(tmp_path, shuffle=1)
    for name in ("ridge", "nearest_terrains"):
        table, _, _ = cross_validate(
            make_model(name, other.flows), other.flows, other.folds, 1, name
        )
        chance = float(table["observed"].var())
        assert error(table) > 0.9 * chance
        true, _, _ = cross_validate(
            make_model(name, study.flows), study.flows, study.folds, 1, name
        )
        assert name != "ridge" or error(true) < 0.5 * chance


def test_folds_without_usable_terrains_are_refused(study, tmp_path):
    samples = read_samples(study.folder / "prepared.parquet")
    missing = samples["speed"].where(~samples.index.isin(study.folds[1].test))
    with pytest.raises(InputError, match="fold 1 is left with"):
        read_usable_folds(study.folder / "splits.parquet", samples.assign(speed=missing))


def test_terrains_and_variables_that_are_missing_are_named(study):
    path = study.folder / "prepared.nc"
    with pytest.raises(InputError, match="no terrain 'other'"):
        read_flows(path, ["field-0000", "other"])
    with pytest.raises(InputError, match="variable 'mass_consistent_u' is missing"):
        read_flows(path, ["field-0000"], ["mass_consistent"])
    with pytest.raises(InputError, match="no such file"):
        read_flows(study.folder / "none.nc", [])


def test_terrains_come_in_the_order_asked_for(study):
    names = study.flows.names[[3, 1, 7]]
    part = read_flows(study.folder / "prepared.nc", names, ["linear"])
    np.testing.assert_array_equal(part.target, study.flows.target[[3, 1, 7]])
    np.testing.assert_array_equal(part.elevation, study.flows.take(np.array([3, 1, 7])).elevation)


def test_mirroring_twice_changes_nothing():
    flow = np.random.default_rng(0).normal(size=(2, 3, 2, 5, 4))
    np.testing.assert_array_equal(mirrored(mirrored(flow)), flow)
    np.testing.assert_array_equal(mirrored(flow)[:, 1], -flow[:, 1, :, ::-1])


def test_calibration_uses_an_even_part_of_the_cells(study, tmp_path):
    _, inner, _ = run(study, tmp_path, "log_law")
    points = np.arange(10_000)
    assert len(calibration_part(inner, study.flows.grid.points)) == len(inner)
    part = calibration_part(inner.assign(point=np.arange(len(inner))), points)
    assert 0 < len(part) < len(inner) / 50
