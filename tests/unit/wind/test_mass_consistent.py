"""The mass-consistent model: against another assembly, a known solution, a potential flow."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

from benchmarks.mass_consistent import (
    assemble,
    convergence,
    in_nodes,
    iterations,
    steep_terrain,
)
from casestudies.config.wind import MassConsistent
from casestudies.errors import InputError
from casestudies.wind.flow import log_profile
from casestudies.wind.mass_consistent import System, inflow, levels, solve, solve_many

HEIGHTS = (10.0, 50.0)
SMALL = {"levels": 8}


@given(count=st.integers(6, 60), first=st.floats(0.5, 300), top=st.floats(500, 3000))
def test_levels_grow_from_the_first_to_the_top(count, first, top):
    s = levels(MassConsistent(levels=count, first=first, top=top))
    assert len(s) == count + 1 and s[0] == 0 and s[-1] == pytest.approx(1)
    steps = np.diff(s)
    assert (np.diff(steps) > -1e-12).all()
    assert steps[0] * top == pytest.approx(min(first, top / count), rel=1e-6)


@pytest.mark.parametrize("stability", [1.0, 0.4])
def test_factors_give_the_matrix_and_load_of_an_assembly_by_hexahedra(stability):
    elevation, chosen = (
        steep_terrain(16, 60.0, 1.2)[:, :14],
        MassConsistent(levels=7, stability=stability),
    )
    system = System(elevation[None], 60.0, chosen)
    top = elevation.max() + chosen.top
    k = np.array([system.kh, system.kh, system.kv])
    assert k[2] / k[0] == pytest.approx(stability**2)

    def wind(x, y, above):
        return log_profile(above, 0.1), 0.2 * above / 100 + 0 * x, 0.1 * np.sin(x / 200) + 0 * above

    A, b, _ = assemble(elevation, 60.0, system.s, top, k, wind)
    tight = spsolve(A.tocsc(), b)
    solution, _, residual = system.solve(system.load([wind]), 1e-12)
    assert residual[0] <= 1e-12
    np.testing.assert_allclose(
        in_nodes(system, solution), tight, rtol=0, atol=1e-9 * np.abs(tight).max()
    )


def test_second_order_convergence_to_a_known_solution():
    coarse, fine = (np.array(convergence(cells)) for cells in (12, 24))
    order = np.log2(coarse / fine)
    assert (order > 1.8).all(), order


@pytest.mark.parametrize(("cells", "count"), [(16, 8), (32, 12), (64, 16)])
def test_steep_terrain_needs_few_iterations_on_any_grid(cells, count):
    assert iterations(cells, count, 1.4) <= 40


@settings(max_examples=20, deadline=None)
@given(z0=st.floats(1e-3, 1.0), ground=st.floats(-100, 4000), stability=st.floats(0.2, 3))
def test_flat_ground_keeps_the_inflow_exactly(z0, ground, stability):
    chosen = {**SMALL, "stability": stability}
    flow = solve(np.full((9, 11), ground), 50.0, z0, HEIGHTS, chosen)
    for found, height in zip(flow.u, HEIGHTS, strict=True):
        np.testing.assert_allclose(found, log_profile(height, z0), rtol=1e-9)
    assert np.abs(flow.v).max() < 1e-9 and np.abs(flow.w).max() < 1e-9
    assert flow.converged and flow.iterations <= 1 and flow.u.shape == (2, 8, 10)


def test_a_low_hill_in_even_wind_has_its_potential_flow():
    # Over z = h(x, y), small, potential flow has û = ĥ kx² / |k| exp(−|k| z).
    cells, spacing, height = 64, 60.0, 5.0
    x = (np.arange(cells + 1) - cells / 2) * spacing
    elevation = height * np.exp(-(x**2 + x[:, None] ** 2) / (2 * 250.0**2))
    top = 2500.0
    system = System(elevation[None], spacing, MassConsistent(levels=24, top=top, first=20.0))

    def even(x, y, above):
        return np.ones(np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(above))), 0.0, 0.0

    solution = system.solve(system.load([even]), 1e-9)[0]
    u, _, w, above = system.velocity(solution[0], 0, even)
    kx = 2 * np.pi * np.fft.fftfreq(cells * 4, spacing)
    k = np.hypot(kx, kx[:, None])
    k[0, 0] = 1
    centre = x[:-1] + spacing / 2
    low = height * np.exp(-(centre**2 + centre[:, None] ** 2) / (2 * 250.0**2))
    transform = np.fft.fft2(low, s=k.shape)
    level = 4
    decay = np.exp(-k * above[level].mean())
    wanted = np.fft.ifft2(transform * kx**2 / k * decay).real[:cells, :cells]
    np.testing.assert_allclose(u[level] - 1, wanted, atol=0.05 * wanted.max())
    wanted = np.fft.ifft2(transform * 1j * kx * decay).real[:cells, :cells]
    np.testing.assert_allclose(w[level], wanted, atol=0.05 * wanted.max())


def test_no_air_is_made_and_none_enters_the_ground():
    elevation, chosen = steep_terrain(16, 60.0, 1.0), MassConsistent(levels=8)
    system = System(elevation[None], 60.0, chosen)
    k = np.array([system.kh, system.kh, system.kv])
    A, b, _ = assemble(elevation, 60.0, system.s, elevation.max() + chosen.top, k, inflow(0.05))
    solution = system.solve(system.load([inflow(0.05)]), 1e-10)[0]
    # Both are ∫ u · ∇φ: with the φ of nodes in the air, and with those of nodes on the ground.
    left = b - A @ in_nodes(system, solution)
    ground = elevation[1:-1, 1:-1].size
    for rows in (slice(ground), slice(ground, None)):
        assert np.abs(left[rows]).max() < 1e-8 * np.abs(b[rows]).max()


def test_a_mirrored_terrain_has_the_mirrored_flow():
    elevation = steep_terrain(24, 60.0, 0.8)
    one, other = (solve(e, 60.0, 0.05, HEIGHTS, SMALL) for e in (elevation, elevation[::-1]))
    np.testing.assert_allclose(other.u[:, ::-1], one.u, atol=1e-4)
    np.testing.assert_allclose(other.v[:, ::-1], -one.v, atol=1e-4)
    np.testing.assert_allclose(other.w[:, ::-1], one.w, atol=1e-4)


def test_air_goes_around_in_stable_air_and_over_in_unstable_air():
    elevation = steep_terrain(24, 60.0, 0.8)
    rising = [
        np.abs(solve(elevation, 60.0, 0.05, [50.0], {**SMALL, "stability": a}).w).mean()
        for a in (0.3, 1.0, 3.0)
    ]
    assert rising[0] < rising[1] < rising[2]


def test_levels_above_the_wanted_heights_change_nothing():
    elevation = steep_terrain(20, 60.0, 0.8)
    system = System(elevation[None], 60.0, MassConsistent(levels=12))
    solution = system.solve(system.load([inflow(0.05)]), 1e-8)[0]
    whole = system.velocity(solution[0], 0, inflow(0.05))
    part = system.velocity(solution[0], 0, inflow(0.05), below=50.0)
    assert len(part[0]) < len(whole[0]) and part[3][-1].min() >= 50
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_allclose(a[: len(b)], b, atol=1e-12)


def test_large_grids_use_another_sine_transform_with_the_same_result(monkeypatch):
    elevation = steep_terrain(20, 60.0, 0.8)
    by_matrix = solve(elevation, 60.0, 0.05, HEIGHTS, SMALL)
    monkeypatch.setattr("casestudies.wind.mass_consistent._LARGE", 10)
    fast = solve(elevation, 60.0, 0.05, HEIGHTS, SMALL)
    assert fast.iterations == by_matrix.iterations
    np.testing.assert_allclose(fast.u, by_matrix.u, atol=1e-9)


@pytest.mark.parametrize("device", [None, torch.device("cpu")])
def test_terrains_together_are_as_one_by_one_in_arrays_and_in_tensors(device):
    flat = np.zeros((17, 17))
    stack = np.stack([steep_terrain(16, 60.0, slope) for slope in (0.2, 1.4)] + [flat])
    roughness = np.array([0.01, 0.1, 0.5])
    together = solve_many(stack, 60.0, roughness, HEIGHTS, SMALL, device)
    assert together[0].iterations < together[1].iterations
    for flow, elevation, z0 in zip(together, stack, roughness, strict=True):
        alone = solve(elevation, 60.0, z0, HEIGHTS, SMALL)
        assert flow.converged and flow.iterations == alone.iterations
        for name in "uvw":
            np.testing.assert_allclose(getattr(flow, name), getattr(alone, name), atol=1e-8)


def test_what_does_not_converge_has_a_reason_and_no_values(monkeypatch):
    monkeypatch.setattr("casestudies.wind.mass_consistent.MOST_ITERATIONS", 3)
    flow = solve(steep_terrain(16, 60.0, 1.0), 60.0, 0.05, HEIGHTS, SMALL)
    assert not flow.converged and np.isnan(flow.u).all() and flow.u.shape == (2, 16, 16)
    assert flow.reason == f"residual {flow.residual:.1e} after 3 iterations"
    assert flow.residual > 1e-6


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"level": 8}, "did you mean 'levels'"), ({"levels": 2}, "levels"), ({"top": -1}, "top")],
)
def test_wrong_settings_are_named(wrong, named):
    with pytest.raises(InputError, match=named):
        solve(np.zeros((9, 9)), 60.0, 0.05, HEIGHTS, wrong)
