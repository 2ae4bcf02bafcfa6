"""Linear theory: its inner layer against a numerical solution, its outer flow against a potential
flow, and what every linear model must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_banded

from casestudies.wind.flow import VON_KARMAN, log_profile
from casestudies.wind.linear import _inner, inner_depth, perturbation, solve, solve_many

HEIGHTS = (10.0, 50.0)


def hill(cells=48, spacing=50.0, height=20.0, width=250.0, stretch=1.0):
    x = (np.arange(cells + 1) - cells / 2) * spacing
    y = x[:, None] / stretch
    return height * np.exp(-(x**2 + y**2) / (2 * width**2))


@given(wavelength=st.floats(50, 1e5), z0=st.floats(1e-4, 1.0))
def test_the_depth_of_the_inner_layer_solves_its_equation(wavelength, z0):
    k = 2 * np.pi / wavelength
    depth = inner_depth(np.array([k]), z0)[0]
    assert depth >= np.e * z0 * (1 - 1e-12)
    if depth > np.e * z0 * (1 + 1e-9):
        assert depth * np.log(depth / z0) == pytest.approx(2 * VON_KARMAN**2 / k, rel=1e-9)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize(("depth", "z0"), [(8.0, 0.03), (40.0, 0.5)])
def test_the_inner_layer_is_that_of_a_numerical_solution(depth, z0, factor):
    # d/dz (z dg/dz) = factor i / l g, g(z0) = 1, g → 0 above; on even steps of ln z.
    x = np.linspace(np.log(z0), np.log(60 * depth), 4001)
    step = x[1] - x[0]
    bands = np.zeros((3, len(x)), dtype=complex)
    bands[1] = -2 / step**2 - factor * 1j * np.exp(x) / depth
    bands[0, 2:], bands[2, :-2] = 1 / step**2, 1 / step**2
    bands[1, [0, -1]] = 1
    right = np.zeros(len(x), dtype=complex)
    right[0] = 1
    numerical = 1 - solve_banded((1, 1), bands, right)
    for height in (1.0, 5.0, 10.0, 50.0):
        found = _inner(height - z0, np.array([depth]), z0, factor)[0]
        place = np.interp(np.log(height), x, numerical.real)
        assert found.real == pytest.approx(place, abs=2e-4)
        assert found.imag == pytest.approx(np.interp(np.log(height), x, numerical.imag), abs=2e-4)


def test_flat_ground_keeps_the_inflow_at_any_level():
    flow = solve(np.full((17, 17), 1234.0), 50.0, 0.1, HEIGHTS)
    for found, height in zip(flow.u, HEIGHTS, strict=True):
        np.testing.assert_allclose(found, log_profile(height, 0.1), rtol=1e-12)
    np.testing.assert_allclose(flow.v, 0, atol=1e-12)
    np.testing.assert_allclose(flow.w, 0, atol=1e-12)
    assert flow.converged and not flow.reason


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(0.1, 5), seed=st.integers(0, 99))
def test_twice_the_hill_twice_the_change_and_mirrors_mirror(scale, seed):
    rng = np.random.default_rng(seed)
    one = hill(24) * (1 + rng.standard_normal((25, 25)) * 0.1)
    z0 = np.array([0.05])
    base = perturbation(one[None], 50.0, z0, HEIGHTS)
    np.testing.assert_allclose(perturbation(scale * one[None], 50.0, z0, HEIGHTS), scale * base)
    mirrored = perturbation(one[None, ::-1], 50.0, z0, HEIGHTS)[..., ::-1, :]
    sign = np.array([1, -1, 1])[:, None, None, None, None]
    np.testing.assert_allclose(mirrored, sign * base, atol=1e-12)


def test_many_terrains_are_as_one_by_one():
    stack = np.stack([hill(24, height=h, width=w) for h, w in ((10, 150), (40, 300), (0, 200))])
    roughness = np.array([0.01, 0.1, 0.5])
    for flow, elevation, z0 in zip(
        solve_many(stack, 50.0, roughness, HEIGHTS), stack, roughness, strict=True
    ):
        alone = solve(elevation, 50.0, z0, HEIGHTS)
        for name in "uvw":
            np.testing.assert_allclose(getattr(flow, name), getattr(alone, name), atol=1e-12)


def test_wind_is_fast_on_the_summit_and_rises_up_the_windward_slope():
    flow = solve(hill(), 50.0, 0.03, HEIGHTS)
    at_10 = flow.u[0]
    row, column = np.unravel_index(at_10.argmax(), at_10.shape)
    # Stress moves the maximum a little upwind of the summit (Jackson and Hunt 1975).
    assert row in (23, 24) and 20 <= column <= 24
    assert at_10.max() > 1.05 and at_10[24, 12] < 1
    assert flow.w[0][24, 19] > 0 > flow.w[0][24, 28]
    assert (flow.u[0] - 1).max() > (flow.u[1] - log_profile(50.0, 0.03)).max()


def test_the_summit_of_a_long_ridge_speeds_up_by_the_rule_of_thumb():
    # Fractional speed-up near 2 h / L for ridges, L the half-width at half height (Taylor and Lee
    # 1984, Climatol. Bull. 18(2), 3); linear theory agrees within some tens of per cent.
    width, height = 300.0, 15.0
    ridge = hill(96, 50.0, height, width, stretch=1e6)
    taper = np.clip(np.minimum(np.arange(97), 96 - np.arange(97)) / 12, 0, 1)
    flow = solve(ridge * taper[:, None], 50.0, 0.03, [10.0])
    half = width * np.sqrt(2 * np.log(2))
    assert flow.u[0][48].max() - 1 == pytest.approx(2 * height / half, rel=0.35)


def test_vertical_wind_follows_the_ground():
    elevation = hill(96, 25.0, 10.0, 400.0)
    flow = solve(elevation, 25.0, 0.03, [10.0])
    slope = np.diff(elevation, axis=1) / 25.0
    slope = (slope[1:] + slope[:-1]) / 2
    np.testing.assert_allclose(flow.w[0], slope, atol=0.05 * slope.max())
