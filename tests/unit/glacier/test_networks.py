"""The glacier networks: nested, honest, and able to be shown dishonest."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from casestudies.errors import InputError
from casestudies.evaluation.splits import Fold, folds_to_table
from casestudies.glacier import MONTHS, UNITS
from casestudies.glacier.networks import (
    Candidate,
    Run,
    _predictors,
    claim,
    ensemble_inputs,
    fit_network,
    paper_architecture,
    paper_training,
    parse_settings,
)
from casestudies.glacier.train import train
from casestudies.tables import read_metadata, write_table

RUN = Run(torch.device("cpu"))
GLACIERS, YEARS = 8, 14


def make_prepared() -> pd.DataFrame:
    """Return a prepared table in which the year's climate explains most of the mass balance."""
    rng = np.random.default_rng(3)
    count = GLACIERS * YEARS
    glacier = np.repeat(np.arange(GLACIERS), YEARS)
    year = np.tile(1984 + np.arange(YEARS), GLACIERS)
    table = {"sample": [f"g{g}_{y}" for g, y in zip(glacier, year, strict=True)]}
    table |= {"glacier": [f"g{g}" for g in glacier], "year": year}
    table |= {name: rng.standard_normal(count) for name in UNITS if name != "mass_balance"}
    for name in ("mean_altitude", "slope20", "area", "longitude", "latitude", "aspect"):
        table[name] = rng.uniform(1, 3, GLACIERS)[glacier]
    for name in ["cpdd", "winter_snow"]:
        shared = 2 * rng.standard_normal(YEARS)[year - 1984]
        table[f"{name}_anomaly"] = shared + 0.3 * rng.standard_normal(count)
    for month in MONTHS:
        table[f"snow_anomaly_{month}"] = 0.1 * rng.standard_normal(count)
    balance = (
        table["winter_snow_anomaly"] - table["cpdd_anomaly"] + 0.2 * rng.standard_normal(count)
    )
    table["mass_balance"] = np.where(np.arange(count) == 5, np.nan, balance)
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def prepared() -> pd.DataFrame:
    return make_prepared()


def folds(prepared: pd.DataFrame, unit: str) -> list[Fold]:
    """Three outer folds and two inner ones that keep the values of ``unit`` whole."""
    values = prepared[unit].astype("category").cat.codes.to_numpy()
    observed = prepared["mass_balance"].notna().to_numpy()
    found = []
    for fold in range(3):
        train = np.flatnonzero((values % 3 != fold) & observed)
        part = values[train] // 3 % 2
        inner = [(train[part != k], train[part == k]) for k in range(2)]
        found.append(Fold(0, fold, train, np.flatnonzero(values % 3 == fold), inner))
    return found


SMALL = {
    "paper_network": '{"known_year_epochs": 6, "new_year_epochs": 6}',
    "paper_protocol": '{"known_year_epochs": 6, "new_year_epochs": 6}',
    "deep_ensemble": '{"steps": 30, "evaluate_every": 10, "batch": 16}',
}


def fit(model: str, prepared: pd.DataFrame, unit: str = "year", seed: int = 1):
    settings = parse_settings(model, SMALL[model])
    return fit_network(model, prepared, folds(prepared, unit), settings, seed, RUN)


def r2(table: pd.DataFrame) -> float:
    scored = table.dropna(subset=["observed"])
    error = scored["observed"] - scored["predicted"]
    return 1 - float(
        (error**2).sum() / ((scored["observed"] - scored["observed"].mean()) ** 2).sum()
    )


@pytest.mark.parametrize("unit", ["glacier", "year"])
def test_deep_ensemble_learns_and_keeps_the_contract(prepared, unit):
    result = fit("deep_ensemble", prepared, unit)
    assert r2(result.predictions) > 0.4
    assert r2(result.inner) > 0.2
    assert sorted(result.predictions["position"]) == list(range(len(prepared)))
    assert list(result.predictions) == [
        "repeat", "fold", "position", "observed", "predicted", "spread",
    ]  # fmt: skip
    assert result.predictions["spread"].gt(0).all()
    assert list(result.inner) == ["repeat", "fold", "inner", "position", "observed", "predicted"]
    for fold in folds(prepared, unit):
        rows = result.inner.loc[result.inner["fold"] == fold.fold, "position"]
        assert sorted(rows) == sorted(fold.train)
    assert np.isfinite(result.curves[["train", "inner", "held_out"]]).all(axis=None)
    assert result.choices.groupby("fold")["chosen"].sum().eq(3).all()


def swapped(prepared: pd.DataFrame, test: np.ndarray) -> pd.DataFrame:
    """The table with the observations of some rows replaced."""
    changed = prepared.copy()
    changed.loc[test, "mass_balance"] = 5 - 2 * changed.loc[test, "mass_balance"]
    return changed


@pytest.mark.parametrize("model", ["paper_network", "deep_ensemble"])
@pytest.mark.parametrize("unit", ["glacier", "year"])
def test_observations_of_the_test_fold_have_no_part(prepared, model, unit):
    rows = folds(prepared, unit)[0].test
    one, other = (fit(model, t, unit) for t in (prepared, swapped(prepared, rows)))
    for table in ("predictions", "inner"):
        a, b = (getattr(result, table).query("fold == 0")["predicted"] for result in (one, other))
        np.testing.assert_array_equal(a, b)


def test_the_published_protocol_sees_the_test_fold(prepared):
    """The same guard fails where it should."""
    one = fit("paper_protocol", prepared)
    rows = folds(prepared, "year")[0].test
    # Far above, then far below: the epoch of the highest, then of the lowest predictions.
    same = []
    for shift in (100, -100):
        changed = prepared.copy()
        changed.loc[rows, "mass_balance"] += shift
        pair = (result.predictions for result in (one, fit("paper_protocol", changed)))
        same.append(np.array_equal(*(t.loc[t["fold"] == 0, "predicted"] for t in pair)))
    assert not all(same)
    assert one.inner.empty
    # Of the same networks at the same evaluations it takes the best on the test fold.
    honest = fit("paper_network", prepared)
    assert r2(one.predictions) > r2(honest.predictions)
    np.testing.assert_array_equal(one.curves["held_out"], honest.curves["held_out"])


@pytest.mark.parametrize("model", ["paper_network", "deep_ensemble"])
@pytest.mark.parametrize("unit", ["glacier", "year"])
def test_permuted_labels_give_chance(prepared, model, unit):
    rng = np.random.default_rng(0)
    values = prepared["mass_balance"].to_numpy()
    observed = ~np.isnan(values)
    shuffled = values.copy()
    shuffled[observed] = rng.permutation(values[observed])
    result = fit(model, prepared.assign(mass_balance=shuffled), unit)
    assert r2(result.predictions) <= 0.05


def test_neighbours_leave_the_own_glacier_out(prepared):
    """A training row's inputs do not move with its own glacier's observations."""
    make = ensemble_inputs(prepared, Candidate(neighbours=20.0))
    train = np.flatnonzero(prepared["mass_balance"].notna())
    own = np.flatnonzero(prepared["glacier"] == "g2")
    changed = prepared.copy()
    # The same mean, so that the offset's other part stays.
    values = changed.loc[own, "mass_balance"].to_numpy()
    changed.loc[own, "mass_balance"] = values[::-1]
    before = make(train)
    after = ensemble_inputs(changed, Candidate(neighbours=20.0))(train)
    others = np.setdiff1d(train, own)
    np.testing.assert_allclose(before[1][own], after[1][own])
    assert not np.allclose(before[1][others], after[1][others])


def test_a_predictor_that_is_constant_in_training_is_ignored(prepared):
    """Else a test glacier in another state would be many standard deviations away."""
    train = np.flatnonzero((prepared["glacier"] != "g0") & prepared["mass_balance"].notna())
    flat = prepared.assign(slope20=np.where(prepared["glacier"] == "g0", 30.0, 0.1 + 0.2))
    inputs, _, _ = ensemble_inputs(flat, Candidate())(train)
    column = list(_predictors(flat, "regional")).index("slope20")
    np.testing.assert_array_equal(inputs[:, column], 0)


def test_what_is_new(prepared):
    assert claim(prepared, folds(prepared, "glacier")) == "glacier"
    assert claim(prepared, folds(prepared, "year")) == "year"
    both = [
        Fold(0, 0, np.flatnonzero(prepared["year"] < 1990), np.flatnonzero(prepared["year"] > 1995))
    ]
    assert claim(prepared, both) == "year"
    mine = prepared["glacier"] == "g0"
    early = prepared["year"] < 1990
    cell = [Fold(0, 0, np.flatnonzero(~mine & ~early), np.flatnonzero(mine & early))]
    assert claim(prepared, cell) == "both"


def test_paper_network_is_the_published_one():
    for new, noise in (("glacier", 0), ("year", 0.1), ("both", 0.1)):
        hidden = paper_architecture(new).hidden
        assert [layer.width for layer in hidden] == [34, 40, 20, 10, 5]
        assert all(layer.batch_norm for layer in hidden)
        assert hidden[0].noise == noise
    training = paper_training(
        "glacier", 1016, parse_settings("paper_network", '{"known_year_epochs": 10}')
    )
    assert (training.evaluate_every, training.steps, training.batch) == (32, 320, 32)
    assert (training.learning_rate, training.optimizer, training.loss) == (5e-4, "rmsprop", "rmse")


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("deep_ensmble", "{}", "did you mean 'deep_ensemble'"),
        ("deep_ensemble", '{"member": 3}', "did you mean 'members'"),
        ("deep_ensemble", '{"members": 0}', "members"),
        ("paper_network", '{"new_year_epochs": -1}', "new_year_epochs"),
        ("paper_network", "nonsense", "glacier.networks.paper_network"),
    ],
)
def test_bad_settings(model, settings, message):
    with pytest.raises(InputError, match=message):
        parse_settings(model, settings)


@pytest.mark.parametrize("model", ["deep_ensemble", "paper_protocol"])
def test_step(prepared, tmp_path, model):
    write_table(prepared, tmp_path / "prepared.parquet")
    write_table(folds_to_table(folds(prepared, "year"), prepared), tmp_path / "splits.parquet")
    train(
        prepared=tmp_path / "prepared.parquet",
        splits=tmp_path / "splits.parquet",
        model=model,
        settings=SMALL[model],
        units=["year"],
        coverage=0.6,
        seed=1,
        device="cpu",
        checkpoint=tmp_path / "checkpoint",
        **{name: tmp_path / f"{name}.parquet" for name in ("output", "inner", "choices", "curves")},
    )
    predictions = pd.read_parquet(tmp_path / "output.parquet")
    assert set(predictions["sample"]) == set(prepared["sample"])
    bounds = predictions[["lower", "upper"]]
    if model == "paper_protocol":  # nothing honest to calibrate on
        assert bounds.isna().all(axis=None)
    else:
        assert (bounds["lower"] < bounds["upper"]).all()
    metadata = read_metadata(tmp_path / "output.parquet")
    assert metadata["device"] == "cpu"
    assert metadata["seconds"] > 0
    assert metadata["settings"] == parse_settings(model, SMALL[model]).model_dump(mode="json")
    json.dumps(metadata, allow_nan=False)
    assert not (tmp_path / "checkpoint").exists()
