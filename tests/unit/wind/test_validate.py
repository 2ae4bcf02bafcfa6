"""The comparison with masts: fields, scores and errors; the published hill within its bars."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.wind import askervein, save, validate
from casestudies.wind.askervein import CENTRE, Grid
from casestudies.wind.flow import Flow
from casestudies.wind.flows import Grid as TrainedGrid
from casestudies.wind.solve import write_flows
from casestudies.wind.terrain import read_terrains

SHAPE, SPACING = (24, 30), 100.0
GRID = Grid(SHAPE, SPACING)
PLACES = {"HT": (0, 0), "ASW85": (-500, -600), "ASW10": (-60, -70), "ANE10": (70, 80)}


@pytest.fixture
def data(tmp_path):
    """A round hill of 100 m, and masts whose speed-up is a hundredth of the height (m)."""
    folder = tmp_path / "askervein"
    folder.mkdir()
    lines = ["a hill", "0 0 0 0", "1 0 1 0", "1 0"]
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for radius in range(0, 12001, 400):
        height = 100 * np.exp(-((radius / 600) ** 2))
        lines.append(f"{height:.3f} {len(angle)}")
        for a in angle:
            lines.append(
                f"{CENTRE[0] + radius * np.cos(a):.1f} {CENTRE[1] + radius * np.sin(a):.1f}"
            )
    (folder / askervein.MAP).write_text("\n".join(lines))
    rows = ["Name,Sensor,X(m),Y(m),Z(m),H(m),S(m/s),FSR,FSRmin,FSRmax"]
    for name, (x, y) in PLACES.items():
        height = 100 * np.exp(-(x**2 + y**2) / 600**2)
        place = f"{CENTRE[0] + x},{CENTRE[1] + y},{height:.2f}"
        rows.append(f"{name},cup,{place},10,-999,{height / 100:.3f},0.05,0.05")
    (folder / askervein.MASTS).write_text("\n".join(rows))
    return folder


@pytest.fixture
def hill(data, tmp_path):
    path = tmp_path / "terrains.nc"
    askervein.askervein(data=data, output=path, spacing=SPACING, cells=SHAPE[::-1])
    return path


# Fields -----------------------------------------------------------------------------------------


@given(
    slope=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    x=st.floats(-800, 800),
    y=st.floats(-800, 800),
)
def test_a_field_that_is_linear_is_interpolated_exactly(slope, x, y):
    along, across = (SPACING * (np.arange(n) + 0.5 - n / 2) for n in SHAPE[::-1])
    a, b = (part / 1000 for part in slope)
    field = 1 + a * along + b * across[:, None]
    unit, left = askervein.downwind(210.0)
    east, north = np.array([x, y])
    table = pd.DataFrame({"station": ["HT"], "x": [CENTRE[0] + east], "y": [CENTRE[1] + north]})
    expected = 1 + a * (unit @ [east, north]) + b * (left @ [east, north])
    assert validate.at_stations(field, GRID, table)[0] == pytest.approx(expected, abs=1e-9)


def test_a_station_outside_the_grid_or_in_the_fringe_is_named():
    table = pd.DataFrame(
        {
            "station": ["HT", "BSE170"],
            "x": [CENTRE[0], CENTRE[0] + 700.0],
            "y": [CENTRE[1], CENTRE[1] - 700.0],
        }
    )
    field = np.ones(SHAPE)
    assert validate.at_stations(field, GRID, table).tolist() == [1, 1]
    with pytest.raises(InputError, match=r"^BSE170: outside the grid of 30 × 24 cells of 100 m"):
        validate.at_stations(field, GRID, table, fringe=0.2)
    with pytest.raises(InputError, match=r"^BSE170: outside"):
        validate.at_stations(np.ones((8, 30)), Grid((8, 30), SPACING), table)


# Scores -----------------------------------------------------------------------------------------


def table_of(predicted: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    names = ["ASW10", "ASW20", "HT", "BSE10", "ANE10", "ANE20"]
    return pd.DataFrame(
        {
            "model": "some",
            "station": names,
            "position": ["windward", "windward", "ridge", "ridge", "lee", "lee"],
            "observed": observed,
            "predicted": predicted,
        }
    )


def test_scores_are_those_of_their_definitions():
    observed = np.array([0.1, 0.3, 0.8, 0.7, -0.2, -0.5])
    predicted = observed + np.array([0.1, -0.1, 0.0, 0.0, 0.2, 0.2])
    found = validate.score(table_of(predicted, observed)).set_index(["position", "metric"])
    assert found.loc[("all", "rmse"), "estimate"] == pytest.approx(np.sqrt(0.1 / 6))
    assert found.loc[("all", "bias"), "estimate"] == pytest.approx(0.4 / 6)
    expected = np.corrcoef(observed, predicted)[0, 1]
    assert found.loc[("all", "r"), "estimate"] == pytest.approx(expected)
    lee = found.loc[("lee", "rmse")]
    assert lee[["estimate", "lower", "upper"]].tolist() == pytest.approx([0.2, 0.2, 0.2])
    assert lee["stations"] == 2 and found.loc[("all", "rmse"), "stations"] == 6
    low, high = found.loc[("all", "rmse"), ["lower", "upper"]]
    assert low < np.sqrt(0.1 / 6) < high


def test_the_correlation_of_a_constant_is_missing():
    observed = np.linspace(-0.5, 0.8, 6)
    found = validate.score(table_of(np.zeros(6), observed))
    assert found.loc[found["metric"] == "r", "estimate"].isna().all()
    assert found.loc[found["metric"] == "rmse", ["estimate", "lower"]].notna().all(axis=None)


# The step ---------------------------------------------------------------------------------------


def test_the_step_compares_and_reuses_flows(data, hill, tmp_path):
    output = tmp_path / "out"
    validate.validate(data=data, terrains=hill, output=output)
    names = ["finding.txt", "flows", "provenance.json", "scores.csv", "stations.csv"]
    assert sorted(path.name for path in output.iterdir()) == names
    table = pd.read_csv(output / "stations.csv")
    assert table["model"].unique().tolist() == ["log_law", "linear", "mass_consistent"]
    assert len(table) == 3 * len(PLACES)
    flat = table[table["model"] == "log_law"]
    assert (flat["predicted"] == 0).all() and flat["observed"].max() == 1
    linear = table[table["model"] == "linear"].set_index("station")
    assert linear.loc["HT", "predicted"] > 0.15 > linear.loc["ASW85", "predicted"]
    assert (output / "finding.txt").read_text().count("\n") == 4

    flow = output / "flows/mass_consistent.nc"
    before = flow.stat().st_mtime_ns
    validate.validate(data=data, terrains=hill, output=output, solvers=["mass_consistent"])
    assert flow.stat().st_mtime_ns == before
    validate.validate(
        data=data,
        terrains=hill,
        output=output,
        solvers=["mass_consistent"],
        settings='{"mass_consistent": {"stability": 2.0}}',
    )
    assert flow.stat().st_mtime_ns > before


class Uphill:
    """In place of a trained surrogate: speed-up is a hundredth of the height (m)."""

    about = SimpleNamespace(slope_p95=1.0, relief=500.0, roughness=(0.01, 0.1))

    def __init__(self, heights=(10.0, 50.0)):
        self.grid = TrainedGrid((20, 20), ((5, 15), (5, 15)), heights, SPACING, 0.25)

    def predict(self, elevation, roughness):
        middle = (elevation[:, 1:, 1:] + elevation[:, :-1, :-1]) / 2
        inside = 1 + middle[self.grid.inside] / 100
        flow = np.stack([0.6 * inside, 0.8 * inside, 0 * inside], axis=1)
        flow = np.repeat(flow[:, :, None], len(self.grid.heights), axis=2)
        return flow, np.zeros(flow[:, 0].shape)


def test_a_surrogate_is_applied_to_the_masts(data, hill, tmp_path, monkeypatch):
    monkeypatch.setattr(save, "read_surrogate", lambda folder, device: Uphill())
    validate.validate(
        data=data,
        terrains=hill,
        output=tmp_path / "out",
        solvers=[],
        surrogates=[tmp_path / "simulated-rans/model"],
    )
    table = pd.read_csv(tmp_path / "out/stations.csv")
    found = table[table["model"] == "surrogate-simulated-rans"]
    assert len(found) == len(PLACES)
    # Contours 400 m apart and cells of 100 m flatten the hill a little.
    assert found["predicted"].to_numpy() == pytest.approx(found["observed"], abs=0.12)


def test_a_surrogate_of_other_heights_is_refused(data, hill, tmp_path, monkeypatch):
    monkeypatch.setattr(save, "read_surrogate", lambda folder, device: Uphill((20.0,)))
    with pytest.raises(InputError, match="gives the wind at 20 m, the masts at 10 m"):
        validate.validate(
            data=data,
            terrains=hill,
            output=tmp_path / "out",
            solvers=[],
            surrogates=[tmp_path / "simulated/model"],
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solvers": ["linaer"]}, r"--solvers 'linaer' is unknown; did you mean 'linear'"),
        ({"settings": "{"}, "--settings is no JSON"),
        ({"settings": '{"openfoam": 3}'}, "must be a JSON object of objects"),
        ({"settings": '{"openfoma": {}}'}, r"'openfoma' is no flow model; did you mean 'openfoam'"),
    ],
)
def test_wrong_options_are_named(data, hill, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        validate.validate(data=data, terrains=hill, output=tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def flow(reason: str = "", fill: float = 1.0) -> Flow:
    values = np.full((1, *SHAPE), fill)
    return Flow(values, values, values, not reason, reason, 1.0, 1, 0.0)


@pytest.mark.parametrize(
    ("name", "heights", "one", "message"),
    [
        ("askervein-210", [10.0], flow("not converged"), "the flow was rejected: not converged"),
        ("askervein-210", [20.0], flow(), "has no flow at 10 m"),
        ("davos-001-090", [10.0], flow(), "but the terrain is"),
        ("askervein-210", [10.0], flow(fill=np.nan), "not finite everywhere"),
    ],
)
def test_flows_that_cannot_be_compared_are_refused(hill, tmp_path, name, heights, one, message):
    write_flows(tmp_path / "x.nc", [name], [one], SHAPE, heights, SPACING, {})
    with pytest.raises(InputError, match=message):
        validate.read_speed(tmp_path / "x.nc", read_terrains(hill))


@pytest.mark.published
def test_the_published_hill(mirror, tmp_path):
    terrains = tmp_path / "terrains.nc"
    askervein.askervein(data=mirror / "askervein", output=terrains)
    validate.validate(data=mirror / "askervein", terrains=terrains, output=tmp_path / "out")
    scores = pd.read_csv(tmp_path / "out/scores.csv").set_index(["model", "position", "metric"])
    rmse = scores["estimate"].xs(("all", "rmse"), level=[1, 2])
    assert (scores["stations"].xs("all", level=1) == 36).all()
    assert rmse["log_law"] == pytest.approx(0.470, abs=0.001)
    assert rmse["mass_consistent"] < 0.22 and rmse["linear"] < 0.18


@pytest.mark.published
def test_rans_on_the_published_hill(openfoam_installed, mirror, tmp_path):
    """The grid of the study is twice as fine; this one takes a tenth of the time."""
    terrains = tmp_path / "terrains.nc"
    data = mirror / "askervein"
    askervein.askervein(data=data, output=terrains, spacing=80.0, cells=(60, 48))
    validate.validate(data=data, terrains=terrains, output=tmp_path / "out", solvers=["openfoam"])
    scores = pd.read_csv(tmp_path / "out/scores.csv").set_index(["model", "position", "metric"])
    assert scores.loc[("openfoam", "all", "rmse"), "estimate"] < 0.13
    assert scores.loc[("openfoam", "all", "r"), "estimate"] > 0.96
