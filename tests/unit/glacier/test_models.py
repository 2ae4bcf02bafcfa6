"""The classical models: right where the answer is known, chance where there is nothing to know."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import check_grad

from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold
from casestudies.glacier import alpgm, models
from casestudies.glacier.features import CLIMATE, MONTHS, REGIONAL_GROUPS, TOPOGRAPHY, features
from casestudies.glacier.models import (
    MODELS,
    REGIONAL_FORMS,
    RegionalForm,
    _Inputs,
    _kernel,
    gaussian_process,
    ridge_regional,
)

GLACIERS, YEARS = 9, 16
LEARNING = sorted(set(MODELS) - {"mean", "year_mean"})


def make_prepared(seed: int = 0, glaciers: int = GLACIERS, years: int = YEARS) -> pd.DataFrame:
    """A small prepared table with a regional signal, a local one and a little noise."""
    rng = np.random.default_rng(seed)
    glacier, year = (part.ravel() for part in np.indices((glaciers, years)))
    frame = pd.DataFrame(
        {"glacier": np.array([f"G{k}" for k in range(glaciers)])[glacier], "year": 1990 + year}
    )
    frame.insert(0, "sample", frame["glacier"] + "_" + frame["year"].astype(str))
    climate = {}
    for name in (*CLIMATE, *(f"{n}_{m}" for n in ("temperature", "snow") for m in MONTHS)):
        climate[name] = rng.normal(size=years)[year] + 0.3 * rng.normal(size=len(year))
    for name, values in climate.items():
        stem, _, month = name.rpartition("_")
        anomaly = f"{stem}_anomaly_{month}" if month in MONTHS else f"{name}_anomaly"
        frame[anomaly] = 100 * values
        frame[name] = 500 + 100 * values
    for column in TOPOGRAPHY:
        frame[column] = rng.uniform(1, 5, glaciers)[glacier]
    frame["latitude"] += 45
    frame["aspect"] = rng.choice([0.0, 90.0, 180.0, 270.0], glaciers)[glacier]
    signal = 0.6 * climate["winter_snow"] - 0.8 * climate["cpdd"] + 0.2 * frame["slope20"]
    frame["mass_balance"] = signal + 0.2 * rng.normal(size=len(frame))
    return frame


def r_squared(predictions: pd.DataFrame) -> float:
    table = predictions.dropna()
    observed = table["observed"]
    error = ((observed - table["predicted"]) ** 2).sum()
    return 1 - error / ((observed - observed.mean()) ** 2).sum()


def make_folds(units: pd.Series) -> list[Fold]:
    """Three folds of whole units (glaciers or years), each with three inner folds of the same."""
    codes = pd.factorize(units)[0]
    rows = np.arange(len(codes))
    folds = []
    for k in range(3):
        train, test = rows[codes % 3 != k], rows[codes % 3 == k]
        part = codes[train] // 3 % 3
        inner = [(train[part != j], train[part == j]) for j in range(3)]
        folds.append(Fold(0, k, train, test, inner))
    return folds


def cross_validate(name: str, prepared: pd.DataFrame, target: np.ndarray, group: str = "year"):
    model = MODELS[name]
    table = features(prepared, model.features)
    return nested_cross_validation(model, table, target, make_folds(prepared[group]), seed=0)[0]


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("group", ["glacier", "year"])
def test_permuted_labels_give_chance(name, group):
    prepared = make_prepared()
    target = np.random.default_rng(5).permutation(prepared["mass_balance"].to_numpy())
    predictions = cross_validate(name, prepared, target, group)
    if name == "year_mean" and group == "year":
        assert predictions["predicted"].isna().all()
    else:
        assert r_squared(predictions) <= 0.05


@pytest.mark.parametrize("name", LEARNING)
def test_a_signal_is_found(name):
    prepared = make_prepared()
    predictions = cross_validate(name, prepared, prepared["mass_balance"].to_numpy(), "glacier")
    assert predictions["predicted"].notna().all()
    assert r_squared(predictions) > 0.4


@pytest.mark.parametrize("name", list(MODELS))
def test_every_setting_predicts_alone_what_it_predicts_among_others(name):
    prepared = make_prepared()
    model = MODELS[name]
    table, target = features(prepared, model.features), prepared["mass_balance"].to_numpy()
    rows = np.arange(len(table))
    train, test = rows[rows % 3 > 0], rows[rows % 3 == 0]

    def predict(settings):
        return model.predict(table.iloc[train], target[train], table.iloc[test], settings, 3)

    settings = list(model.settings)[-4:]
    together = predict(settings)
    assert together.shape == (len(test), len(settings))
    for k in {0, len(settings) - 1}:
        # The lasso's path stops within its tolerance, so its start matters a little.
        np.testing.assert_allclose(together[:, k], predict(settings[k : k + 1])[:, 0], atol=0.01)
    np.testing.assert_array_equal(together, predict(settings))


@pytest.mark.parametrize("name", list(MODELS))
def test_units_of_the_target_do_not_matter(name):
    prepared = make_prepared()
    model = MODELS[name]
    table, target = features(prepared, model.features), prepared["mass_balance"].to_numpy()
    train, test = table.iloc[:100], table.iloc[100:]
    settings = list(model.settings)[:1]
    values = model.predict(train, target[:100], test, settings, 3)
    scaled = model.predict(train, 1000 * target[:100], test, settings, 3)
    np.testing.assert_allclose(scaled, 1000 * values, rtol=0.02, atol=20)


def test_the_degree_day_model_recovers_its_factors_and_keeps_their_signs():
    prepared = make_prepared()
    table = features(prepared, "absolute")
    snow = (prepared["winter_snow"] + prepared["summer_snow"]).to_numpy() / 1000
    melt = prepared["cpdd"].to_numpy() / 1000
    predict = MODELS["degree_day"].predict
    truth = 1.4 * snow - 4.0 * melt - 0.3
    np.testing.assert_allclose(predict(table, truth, table, ["default"], 0)[:, 0], truth)
    wrong = predict(table, -1.4 * snow + 4.0 * melt, table, ["default"], 0)[:, 0]
    assert np.ptp(wrong) == pytest.approx(0, abs=1e-9)  # only the constant is left


def test_the_year_mean_knows_only_the_years_of_the_training_rows():
    prepared = make_prepared()
    table, target = features(prepared, "absolute"), prepared["mass_balance"].to_numpy()
    train = (prepared["glacier"] != "G0").to_numpy() & (prepared["year"] > 1990).to_numpy()
    values = MODELS["year_mean"].predict(
        table[train], target[train], table[~train], ["default"], 0
    )[:, 0]
    years = prepared["year"].to_numpy()
    assert np.isnan(values[years[~train] == 1990]).all()
    expected = target[train & (years == 2000)].mean()
    np.testing.assert_allclose(values[years[~train] == 2000], expected)


def test_ordinary_least_squares_survives_fewer_glaciers_than_topographic_predictors():
    prepared = make_prepared()
    # Two glaciers whose area shrinks a little: a direction that holds next to no information.
    prepared["area"] += 1e-4 * (prepared["year"] - 2000) ** 2
    table, target = features(prepared, "seasonal"), prepared["mass_balance"].to_numpy()
    train = prepared["glacier"].isin(["G0", "G1"]).to_numpy()
    values = MODELS["ols"].predict(table[train], target[train], table[~train], ["default"], 0)
    assert np.abs(values).max() < 20


def test_ridge_on_regional_predictors_equals_the_mixed_model_in_dual_form():
    prepared = make_prepared()
    table, target = features(prepared, "regional"), prepared["mass_balance"].to_numpy()
    years, glaciers = prepared["year"].to_numpy(), prepared["glacier"].to_numpy()
    train = (years < 2002) & (glaciers != "G8")
    form = RegionalForm(penalty=30, months=10, memory=2, year=20, glacier=50)
    values = ridge_regional(table[train], target[train], table[~train], [form], 0)[:, 0]

    mean, deviation = table[train].mean(), table[train].std(ddof=0)
    x = ((table - mean) / deviation).to_numpy()
    penalty = [form.penalties()[key] for key, names in REGIONAL_GROUPS.items() for _ in names]
    kernel = (x / penalty) @ x.T + 1e6
    kernel += (glaciers[:, None] == glaciers) / 50 + (years[:, None] == years) / 20
    centre = target[train].mean()
    solved = np.linalg.solve(
        kernel[np.ix_(train, train)] + np.eye(train.sum()), target[train] - centre
    )
    np.testing.assert_allclose(values, kernel[np.ix_(~train, train)] @ solved + centre, atol=1e-4)


def test_the_forms_of_the_regional_ridge_have_names_of_their_own():
    assert len({str(form) for form in REGIONAL_FORMS}) == len(REGIONAL_FORMS)


def test_the_kernel_is_symmetric_and_positive_semidefinite():
    table = features(make_prepared(), "regional")
    inputs, part = _Inputs.pair(table, table.iloc[:7])
    variances = np.random.default_rng(0).uniform(0.1, 1, 11)
    kernel = _kernel(inputs, inputs, variances)
    np.testing.assert_allclose(kernel, kernel.T)
    assert np.linalg.eigvalsh(kernel).min() > -1e-8 * np.abs(kernel).max()
    np.testing.assert_allclose(_kernel(part, inputs, variances), kernel[:7], atol=1e-9)


def test_the_gaussian_process_interpolates_a_years_effect_to_a_near_glacier():
    prepared = make_prepared()
    rng = np.random.default_rng(1)
    effect = rng.normal(size=YEARS)[prepared["year"] - 1990]  # nothing to do with the climate
    target = effect + 0.05 * rng.normal(size=len(prepared))
    table = features(prepared, "regional")
    test = (prepared["glacier"] == "G3").to_numpy()
    values = gaussian_process(table[~test], target[~test], table[test], ["default"], 0)[:, 0]
    assert np.corrcoef(values, effect[test])[0, 1] > 0.95


def test_the_gradient_of_the_marginal_likelihood_is_right(monkeypatch):
    caught = {}

    def catch(loss, start, **_):
        caught["loss"], caught["start"] = loss, start
        raise StopIteration

    monkeypatch.setattr(models, "minimize", catch)
    table = features(make_prepared(), "regional").iloc[::3]
    inputs, _ = _Inputs.pair(table, table)
    with pytest.raises(StopIteration):
        models._most_likely(inputs, np.random.default_rng(0).normal(size=len(table)), 5)
    loss, start = caught["loss"], caught["start"] + 0.3
    error = check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], start, epsilon=1e-6)
    assert error < 1e-3


@pytest.mark.published
def test_shrinkage_and_the_regional_signal_help_in_years_never_seen(mirror):
    prepared = alpgm.read(mirror / "alpgm-corrected")
    target = prepared["mass_balance"].to_numpy()
    observed = np.flatnonzero(~np.isnan(target))
    years = prepared["year"].to_numpy()[observed]
    folds = []
    for k, year in enumerate(range(1984, 2016)):
        train, test = observed[years != year], observed[years == year]
        part = prepared["year"].to_numpy()[train] % 5
        inner = [(train[part != j], train[part == j]) for j in range(5)]
        folds.append(Fold(0, k, train, test, inner))
    error = {}
    for name in ("ols", "ridge_regional"):
        table = features(prepared, MODELS[name].features)
        predictions, _, _ = nested_cross_validation(MODELS[name], table, target, folds, seed=0)
        error[name] = np.sqrt(((predictions["observed"] - predictions["predicted"]) ** 2).mean())
    assert error["ols"] == pytest.approx(0.834, abs=0.002)
    assert error["ridge_regional"] < 0.70
