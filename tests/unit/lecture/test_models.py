"""Models that are linear in their coefficients: fits, gradients, descents, folds, bootstrap."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.config.lecture import Descent, Lecture, Simulation
from casestudies.config.schemes import RandomKFold
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.lecture.car import measure
from casestudies.lecture.extrapolate import extrapolate
from casestudies.lecture.fit import fit, fit_folds
from casestudies.lecture.models import (
    Model,
    descend,
    gradient,
    least_squares,
    recorded_steps,
)
from casestudies.lecture.redraw import fit_all_degrees
from casestudies.tables import read_metadata, write_table


def problem(seed: int, sets: int = 3, rows: int = 25, model: str = "polynomial_5"):
    speed, observed = measure(Simulation(), rows, np.random.default_rng(seed), sets)
    low, high = speed.min(axis=1), speed.max(axis=1)
    return Model(model).design(speed, low, high), observed


def loss(X, y, w) -> np.ndarray:
    return ((np.einsum("bnp,bp->bn", X, w) - y) ** 2).mean(axis=1) / 2


def test_names_say_form_parameters_and_fit():
    found = [(m.form, m.parameters, m.fit) for m in map(Model, Lecture().models)]
    assert found[:3] == [
        ("mean", 1, "least_squares"),
        ("physics", 3, "least_squares"),
        ("polynomial", 2, "least_squares"),
    ]
    assert ("polynomial", 30, "gradient_descent") in found and len(found) == 14


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_gradient_is_that_of_finite_differences(seed: int):
    X, y = problem(seed)
    w = np.random.default_rng(seed).normal(size=(3, 5))
    step = 1e-5
    for i in range(5):
        shift = step * np.eye(5)[i]
        numeric = (loss(X, y, w + shift) - loss(X, y, w - shift)) / (2 * step)
        # The loss is quadratic, so that central differences are exact but for rounding.
        np.testing.assert_allclose(gradient(X, y, w)[:, i], numeric, rtol=1e-6, atol=1e-8)


def test_least_squares_is_where_the_gradient_vanishes_and_what_powers_give():
    X, y = problem(0)
    w = least_squares(X, y)
    np.testing.assert_allclose(gradient(X, y, w), 0, atol=1e-12)
    speed, _ = measure(Simulation(), 25, np.random.default_rng(0), 3)
    for b in range(3):
        powers = np.polynomial.Polynomial.fit(speed[b], y[b], 4)
        np.testing.assert_allclose(X[b] @ w[b], powers(speed[b]), rtol=1e-9)


def test_of_many_exact_fits_least_squares_takes_the_smallest():
    X, y = problem(1, rows=10, model="polynomial_30")
    w = least_squares(X, y)
    np.testing.assert_allclose(np.einsum("bnp,bp->bn", X, w), y, rtol=1e-6)
    for b in range(3):
        np.testing.assert_allclose(w[b], np.linalg.lstsq(X[b], y[b])[0], atol=1e-6)


@pytest.mark.parametrize("name", ["gradient_descent", "momentum", "sgd"])
def test_descents_arrive_at_the_least_squares(name: str):
    X, y = problem(2, model="polynomial_3")
    used = np.ones(y.shape, dtype=bool)
    chosen = Descent(steps=4000, batch=20)
    found = descend(X, y, used, name, chosen, np.random.default_rng(0), [0, 4000])
    np.testing.assert_array_equal(found[0], 0)
    tolerance = 0.03 if name == "sgd" else 1e-8
    np.testing.assert_allclose(found[1], least_squares(X, y), atol=tolerance)


def test_gradient_descent_is_its_closed_form():
    X, y = problem(3, model="polynomial_30")
    used = np.ones(y.shape, dtype=bool)
    found = descend(X, y, used, "gradient_descent", Descent(steps=50), np.random.default_rng(0))[0]
    for b in range(len(X)):
        values, vectors = np.linalg.eigh(X[b].T @ X[b] / len(y[b]))
        target = vectors.T @ X[b].T @ y[b] / len(y[b])
        rate = 1 / values[-1]
        kept = np.clip(values, 1e-15, None)
        closed = vectors @ (
            target / kept * -np.expm1(50 * np.log1p(-np.minimum(rate * kept, 1 - 1e-12)))
        )
        np.testing.assert_allclose(found[b], closed, atol=1e-5)


@pytest.mark.parametrize("name", ["gradient_descent", "momentum", "sgd"])
def test_a_descent_sees_no_row_that_it_may_not_use(name: str):
    X, y = problem(4)
    used = np.random.default_rng(0).random(y.shape) < 0.6
    poisoned = np.where(used, y, 1e9)
    runs = [
        descend(X, values, used, name, Descent(steps=30), np.random.default_rng(5))
        for values in (y, poisoned)
    ]
    np.testing.assert_array_equal(*runs)


def test_recorded_steps_begin_and_end_where_the_descent_does():
    steps = recorded_steps(2000)
    assert steps[0] == 0 and steps[-1] == 2000 and (np.diff(steps) > 0).all()


def test_one_qr_yields_the_fit_of_every_degree():
    X, y = problem(5, model="polynomial_9")
    queries = np.random.default_rng(0).uniform(-1, 1, (7, 9))
    found = fit_all_degrees(X, y, queries)
    for count in range(1, 10):
        w = least_squares(X[..., :count], y)
        np.testing.assert_allclose(found[count - 1], w @ queries[:, :count].T, rtol=1e-7, atol=1e-8)


@pytest.fixture
def samples() -> pd.DataFrame:
    speed, observed = measure(Simulation(), 24, np.random.default_rng(6))
    names = [f"m{i}" for i in range(24)]
    return pd.DataFrame({"sample": names, "speed": speed[0], "consumption": observed[0]})


def test_a_fold_is_fitted_without_its_test_rows(samples):
    folds = make_folds(samples, "consumption", RandomKFold(folds=3, inner_folds=2), 0)
    speed, observed = samples["speed"].to_numpy(), samples["consumption"].to_numpy()
    _, before = fit_folds(
        Model("polynomial_4"), speed, observed, folds, Descent(), np.random.default_rng(0)
    )
    changed = observed.copy()
    changed[folds[0].test] += 100
    _, after = fit_folds(
        Model("polynomial_4"), speed, changed, folds, Descent(), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(before[:, :3], after[:, :3])  # the fold and its inner folds
    assert np.abs(before[:, 3] - after[:, 3]).max() > 1


def test_permuted_observations_are_predicted_no_better_than_by_the_mean(samples):
    rng = np.random.default_rng(7)
    folds = make_folds(samples, "consumption", RandomKFold(folds=3, inner_folds=2), 0)
    speed = samples["speed"].to_numpy()
    errors = {"mean": [], "physics": [], "polynomial_6": []}
    for _ in range(20):
        shuffled = rng.permutation(samples["consumption"].to_numpy())
        for name, found in errors.items():
            _, predicted = fit_folds(Model(name), speed, shuffled, folds, Descent(), rng)
            squares = [
                (predicted[-1, 3 * i] - shuffled)[fold.test] ** 2 for i, fold in enumerate(folds)
            ]
            found.append(np.concatenate(squares).mean())
    assert np.mean(errors["mean"]) < min(
        np.mean(errors["physics"]), np.mean(errors["polynomial_6"])
    )


def test_the_fit_step_writes_the_contract_of_all_studies(samples, tmp_path: Path):
    write_table(samples, tmp_path / "prepared.parquet")
    folds = make_folds(samples, "consumption", RandomKFold(folds=3, inner_folds=2), 0)
    write_table(folds_to_table(folds, samples), tmp_path / "splits.parquet")
    options = {
        "prepared": tmp_path / "prepared.parquet",
        "splits": tmp_path / "splits.parquet",
        "models": ["mean", "polynomial_2_sgd"],
        "settings": '{"steps": 20}',
        "units": ["sample"],
        "seed": 1,
    }
    for name in ("one", "two"):
        fit(**options, output=tmp_path / name, errors=tmp_path / f"{name}.parquet")
    one, two = (pd.read_parquet(tmp_path / n / "polynomial_2_sgd.parquet") for n in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    assert {"sample", "repeat", "fold", "observed", "predicted", "lower", "upper"} == set(one)
    assert sorted(one["sample"]) == sorted(samples["sample"])
    assert (one["lower"] <= one["predicted"]).all() and (one["predicted"] <= one["upper"]).all()
    errors = pd.read_parquet(tmp_path / "one.parquet")
    last = errors[errors["model"] == "polynomial_2_sgd"].groupby("fold").last()
    assert (last["step"] == 20).all()
    for number, row in last.iterrows():
        part = one[one["fold"] == number]
        rmse = np.sqrt(((part["observed"] - part["predicted"]) ** 2).mean())
        assert row["validation"] == pytest.approx(rmse)


def test_extrapolation_holds_the_fit_and_its_bootstrap(samples, tmp_path: Path):
    write_table(samples, tmp_path / "prepared.parquet")
    extrapolate(
        prepared=tmp_path / "prepared.parquet",
        models=["physics", "polynomial_3", "polynomial_3_momentum"],
        settings='{"steps": 200}',
        predict_at=180,
        bootstrap=50,
        seed=1,
        curves=tmp_path / "curves.parquet",
        output=tmp_path / "points.parquet",
    )
    points = pd.read_parquet(tmp_path / "points.parquet")
    assert read_metadata(tmp_path / "points.parquet")["speed"] == 180
    assert (points.groupby("model").size() == 51).all()
    fitted = points[points["resample"] == -1].set_index("model")["predicted"]
    known = np.polynomial.Polynomial.fit(samples["speed"], samples["consumption"], 2)(180)
    assert fitted["polynomial_3"] == pytest.approx(known, rel=1e-9)
    assert fitted["polynomial_3_momentum"] == pytest.approx(known, rel=1e-4)
    curves = pd.read_parquet(tmp_path / "curves.parquet")
    assert (curves["lower"] <= curves["upper"]).all()
