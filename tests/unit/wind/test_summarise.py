import numpy as np
import pandas as pd
import pytest
import xarray as xr

from casestudies.tables import write_table
from casestudies.wind.prepare import POSITIONS
from casestudies.wind.results import Results, errors_by_position
from casestudies.wind.summarise import finding

NAMES, CELLS = ["a", "b", "c", "d"], 8


@pytest.fixture
def results(tmp_path):
    """Four terrains of 8 × 8 cells, 4 × 4 of them inside, with flows of which v is not 0."""
    rng = np.random.default_rng(0)
    shape = (len(NAMES), 1, CELLS, CELLS)
    inside = np.zeros((CELLS, CELLS), np.int8)
    inside[2:6, 2:6] = 1
    fields = xr.Dataset(
        {
            "u": (("terrain", "height", "y", "x"), 1 + 0.2 * rng.random(shape)),
            "v": (("terrain", "height", "y", "x"), 0.2 * rng.random(shape)),
            "interior": (("y", "x"), inside),
            "position": (
                ("terrain", "y", "x"),
                rng.integers(0, 4, (len(NAMES), CELLS, CELLS)).astype(np.int8),
            ),
        },
        coords={"terrain": NAMES, "height": [10.0]},
        attrs={"spacing": 50.0},
    )
    fields.to_netcdf(tmp_path / "prepared.nc", engine="h5netcdf")
    table = pd.DataFrame({"sample": NAMES, "massif": "m", "reason": ""})
    write_table(table, tmp_path / "prepared.parquet", {"solver": "mass_consistent"})
    return Results(tmp_path, ["terrain"], ["turned", "slow"])


def predict(results, name, change, fold=0):
    u, v = (results.fields[k].to_numpy()[:, 0] for k in ("u", "v"))
    inside = results.fields["interior"].to_numpy().astype(bool)
    new_u, new_v = change(u, v)
    points = np.flatnonzero(inside)
    table = pd.DataFrame(
        {
            "sample": np.repeat(NAMES, len(points)),
            "repeat": 0,
            "fold": fold,
            "point": np.tile(points, len(NAMES)),
            "observed": np.hypot(u, v)[:, inside].ravel(),
            "predicted": np.hypot(new_u, new_v)[:, inside].ravel(),
            "u": new_u[:, inside].ravel(),
            "v": new_v[:, inside].ravel(),
        }
    )
    path = results.folder / "predictions" / "terrain" / f"{name}.parquet"
    write_table(table.sample(frac=1, random_state=1), path)
    return table


def test_errors_of_direction_and_of_speed_are_told_apart(results):
    angle = np.radians(10)
    turn = lambda u, v: (  # noqa: E731
        np.cos(angle) * u - np.sin(angle) * v,
        np.sin(angle) * u + np.cos(angle) * v,
    )
    predict(results, "turned", turn)
    predict(
        results, "slow", lambda u, v: (u - 0.1 * u / np.hypot(u, v), v - 0.1 * v / np.hypot(u, v))
    )
    table = errors_by_position(results, "terrain", 200, 0.95, 1)
    value = table.set_index(["model", "position", "metric"])["estimate"]
    for place in (*POSITIONS, "all"):
        assert value["turned", place, "direction_mae"] == pytest.approx(10)
        assert value["turned", place, "speed_rmse"] == pytest.approx(0, abs=1e-9)
        assert value["slow", place, "direction_mae"] == pytest.approx(0, abs=1e-5)
        assert value["slow", place, "speed_rmse"] == pytest.approx(0.1)
    whole = table[table["position"] == "all"]
    assert (whole["terrains"] == 4).all() and (whole["cells"] == 4 * 16).all()
    parts = table[(table["position"] != "all") & (table["metric"] == "speed_rmse")]
    assert parts.groupby("model")["cells"].sum().tolist() == [64, 64]


def test_the_inner_choice_has_the_flow_of_the_model_chosen(results):
    first = predict(results, "unet", lambda u, v: (u + 1, v))
    predict(results, "fno", lambda u, v: (u - 1, v))
    weights = pd.DataFrame({"fold": 0, "model": ["unet", "fno"], "weight": [1.0, 0.0]})
    write_table(weights, results.folder / "weights" / "terrain" / "surrogate.parquet")
    found = results.predictions("terrain", "surrogate")
    assert found.names.tolist() == NAMES
    assert found.predicted.ravel() == pytest.approx(first["predicted"].to_numpy())
    assert found.u.mean() == pytest.approx(results.truth("u", found).mean() + 1)


def tables(network=0.05, ridge=0.10, interval=0.01):
    rmse = {"surrogate": network, "unet": network, "ridge": ridge, "log_law": 0.3}
    scores = pd.DataFrame(
        [
            ("terrain", model, "rmse", value, value - interval, value + interval, 40, "40")
            for model, value in rmse.items()
        ],
        columns=["scheme", "model", "metric", "estimate", "lower", "upper", "samples", "groups"],
    )
    pairs = pd.DataFrame(
        [
            ("terrain", "rmse", "surrogate", name, d, d - interval, d + interval)
            for name, d in (("ridge", network - ridge), ("log_law", network - 0.3))
        ],
        columns=["scheme", "metric", "model", "reference", "estimate", "lower", "upper"],
    )
    costs = pd.DataFrame(
        [
            ("reference", "openfoam", 40.0, 0.0, np.nan),
            ("solver", "coarse", 4.0, 0.08, np.nan),
            ("solver", "less coarse", 10.0, 0.04, np.nan),
            ("surrogate", "unet", 0.02, network, 71.3),
        ],
        columns=["kind", "model", "seconds", "rmse", "break_even"],
    )
    prepared = pd.DataFrame(
        {
            "sample": NAMES,
            "reason": [
                "",
                "relief 757 m above 700 m",
                "diverged: p",
                "relief 9 m above 7 m; too fast",
            ],
        }
    )
    return scores, pairs, costs, prepared


def test_the_finding_states_who_wins_and_what_it_costs():
    lines = finding(*tables(), "RANS model").splitlines()
    assert lines[0] == (
        "On unseen terrain, a network reproduces the wind speed of the RANS model with RMSE "
        "5.0 [4.0, 6.0] % of the inflow; it beats the best other model, ridge on terrain features "
        "(10.0 [9.0, 11.0] %)."
    )
    text = "\n".join(lines[1:])
    assert (
        "beats log law" in text
        and "ridge on terrain features (difference -5.0 [-6.0, -4.0] %)" in text
    )
    assert "40.0 s of processor time and the network 20 ms, a ratio of 2,000" in text
    assert "(less coarse)" in text and "a ratio of 500.0 at equal error" in text
    assert "paid for itself after 71 flows" in text
    assert "3 of 4 terrains were refused and count nowhere: " in text
    assert "1 for relief and too fast" in text and "1 for diverged" in text


def test_the_finding_says_when_the_solver_made_cheaper_is_as_good():
    scores, pairs, costs, prepared = tables()
    costs.loc[costs["model"] == "less coarse", "seconds"] = 0.01
    text = finding(scores, pairs, costs, prepared, "RANS model")
    assert "a ratio of 0.5 at equal error: here the network is no gain." in text
    assert "paid for itself" not in text


def test_the_finding_says_when_a_network_loses():
    assert "loses to the best other model" in finding(*tables(network=0.2), "RANS model")
    equal = finding(*tables(network=0.1, interval=0.05), "RANS model")
    assert "is not told apart from the best other model" in equal.splitlines()[0]
