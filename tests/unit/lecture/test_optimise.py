"""The loss, its gradient and Hessian, and who escapes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.config.lecture import Landscape
from casestudies.lecture.landscape import STATIONARY, gradient, hessian, loss
from casestudies.lecture.optimise import arrived, descend, methods, optimise, starts

point = st.tuples(st.floats(-2, 2), st.floats(-1.5, 1.5)).map(np.array)


@given(point)
@settings(max_examples=50, deadline=None)
def test_gradient_and_hessian_are_those_of_finite_differences(p: np.ndarray):
    step = 1e-5
    for i in range(2):
        shift = step * np.eye(2)[i]
        slope = (loss(p + shift) - loss(p - shift)) / (2 * step)
        assert gradient(p)[i] == pytest.approx(slope, rel=1e-7, abs=1e-9)
        curvature = (gradient(p + shift) - gradient(p - shift)) / (2 * step)
        np.testing.assert_allclose(hessian(p)[i], curvature, rtol=1e-7, atol=1e-8)


def test_the_stationary_points_are_what_their_names_say():
    found = arrived(np.array(list(STATIONARY.values())))
    assert list(found["end"]) == list(STATIONARY)
    assert (found["slope"] < 1e-15).all()
    assert found["loss"].idxmin() == list(STATIONARY).index("global minimum")
    assert list(found["smallest"] > 0) == [True, True, False]
    assert gradient(np.array(STATIONARY["saddle"])).tolist() == [0.0, 0.0]  # to the last bit


def test_a_point_on_a_slope_has_not_arrived():
    assert arrived(np.array([[1.5, 0.0]]))["end"].tolist() == ["on its way"]


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_plain_descent_never_climbs(seed: int):
    rng = np.random.default_rng(seed)
    path = descend(starts("anywhere", 20, rng), 0.0, 0.0, Landscape(), rng)
    assert (np.diff(loss(path), axis=0) <= 1e-12).all()


def test_who_escapes(tmp_path: Path):
    for name in ("one", "two"):
        optimise(
            settings='{"starts": 200}',
            seed=3,
            paths=tmp_path / f"{name}_paths.parquet",
            output=tmp_path / f"{name}.parquet",
        )
    ends = pd.read_parquet(tmp_path / "one.parquet")
    pd.testing.assert_frame_equal(ends, pd.read_parquet(tmp_path / "two.parquet"))
    share = ends.assign(best=ends["end"] == "global minimum").groupby(["start", "method"])["best"]
    share = share.mean()
    assert set(ends["method"]) == set(methods(Landscape()))
    for method in ("plain", "inertia"):
        rows = ends[(ends["start"] == "saddle") & (ends["method"] == method)]
        assert (rows["end"] == "saddle").all()
        assert share["local minimum", method] == 0
    assert (ends.loc[ends["method"].str.startswith("noise"), "end"] != "saddle").all()
    assert share["local minimum", "noise 3"] > 0.3 > share["local minimum", "noise 1"]
    assert share["anywhere", "inertia"] > share["anywhere", "plain"]
