"""Identities: bias² + variance (+ noise) = expected error, and the parts of the variance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.config.lecture import Redraw, Simulation
from casestudies.lecture.redraw import bias_and_variance, degrees_of
from casestudies.lecture.variance import bootstrap, decompose, intervals, parts_of_variance


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(-6, 6))
@settings(max_examples=50, deadline=None)
def test_bias_and_variance_add_up_to_the_error(seed: int, sets: int, size: float):
    rng = np.random.default_rng(seed)
    predicted, truth = 10**size * rng.standard_normal((sets, 9)), rng.standard_normal(9)
    parts = decompose(predicted, truth)
    assert parts["bias2"] + parts["variance"] == pytest.approx(parts["error"], rel=1e-12)
    assert parts["variance"] == pytest.approx(predicted.var(axis=0).mean(), rel=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_the_parts_of_the_variance_add_up_to_it(seed: int, seeds: int):
    rng = np.random.default_rng(seed)
    predicted = rng.standard_normal((7, seeds, 5)) + rng.standard_normal((7, 1, 5))
    whole = decompose(predicted.reshape(-1, 5), np.zeros(5))["variance"]
    parts = parts_of_variance(predicted)
    assert parts["sampling"] + parts["initialisation"] == pytest.approx(whole, rel=1e-12)
    assert (parts["initialisation"] < 1e-28) == (seeds == 1)


def test_against_new_observations_the_noise_comes_on_top():
    rng = np.random.default_rng(0)
    truth = np.sin(np.arange(4.0))
    predicted = truth + 0.3 + 0.5 * rng.standard_normal((200_000, 4))
    fresh = truth + 0.7 * rng.standard_normal(predicted.shape)
    parts = decompose(predicted, truth)
    squares = ((fresh - predicted) ** 2).mean(axis=1)
    expected = parts["bias2"] + parts["variance"] + 0.7**2
    assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(len(squares))
    assert parts["bias2"] == pytest.approx(0.09, rel=0.02)


def test_resamples_obey_the_identity_and_are_paired_by_their_seed():
    rng = np.random.default_rng(1)
    predicted = rng.standard_normal((12, 2, 5))
    one, two = (bootstrap(predicted * scale, np.zeros(5), 300, 3) for scale in (1, 2))
    np.testing.assert_allclose(one["bias2"] + one["variance"], one["error"], rtol=1e-12)
    np.testing.assert_allclose(4 * one["variance"], two["variance"], rtol=1e-12)
    found = intervals(one, 0.9)
    whole = decompose(predicted.reshape(-1, 5), np.zeros(5))
    assert found["error_lower"] < whole["error"] < found["error_upper"]


def test_the_curve_is_u_shaped_and_the_tables_own_identity_holds():
    car = Simulation()
    table = bias_and_variance(car, 40, Redraw(sets=400, degrees=12), 0.95, 1)
    error = table["error"].to_numpy()
    best = error.argmin()
    assert 1 < best < len(error) - 1 and error[0] > 5 * error[best] < error[-1]
    np.testing.assert_allclose(table["bias2"] + table["variance"], error, rtol=1e-12)
    apart = np.abs(table["measured"] - error - car.noise**2) / table["measured_se"]
    assert apart.max() < 5
    assert list(table["parameters"]) == list(range(2, 14))


def test_no_more_parameters_than_measurements():
    assert degrees_of(20, 30) == 19 and degrees_of(60, 30) == 30
    table = bias_and_variance(Simulation(), 8, Redraw(sets=50), 0.95, 1)
    assert table["parameters"].max() == 8
