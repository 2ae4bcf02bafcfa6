import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.wind import FIGURES
from casestudies.wind.plot import DRAW, spectrum
from casestudies.wind.transect import LINES, along, transect


def test_every_figure_is_drawn_and_has_a_caption():
    from tests.conftest import ROOT

    assert set(DRAW) == set(FIGURES)
    captions = {path.stem for path in (ROOT / "workflow/report/wind").iterdir()}
    assert captions >= {*FIGURES, "finding", "askervein", "askervein_finding"}


def test_a_wave_has_its_power_at_its_own_length():
    x = np.arange(32)
    wave = np.sin(2 * np.pi * x * 4 / 32)
    length, power = spectrum(np.broadcast_to(wave, (2, 32, 32)), 50.0)
    assert length[power[0].argmax()] == pytest.approx(32 * 50 / 4)
    assert (np.diff(length) < 0).all() and power.shape == (2, 16)
    doubled = spectrum(2 * np.broadcast_to(wave, (1, 32, 32)), 50.0)[1]
    assert doubled[0] == pytest.approx(4 * power[0])


def stations():
    rows = [
        ("ASW50", -300.0, -350.0, -0.2),
        ("HT", 0.0, 0.0, 0.9),
        ("ANE20", 140.0, 150.0, -0.3),
        ("AASW10", 230.0, -340.0, 0.4),
        ("CP", 290.0, -270.0, 0.6),
        ("AANE10", 360.0, -200.0, 0.7),
        ("BSE30", 220.0, -200.0, 0.5),
    ]
    table = pd.DataFrame(rows, columns=["station", "x", "y", "observed"])
    table = table.assign(lower=table["observed"] - 0.05, upper=table["observed"] + 0.05)
    models = ("log_law", "linear", "surrogate-simulated")
    return pd.concat([table.assign(model=m, predicted=0.1 * k) for k, m in enumerate(models)])


def test_masts_stand_in_order_along_their_line():
    table = stations().query("model == 'linear'")
    (hill, names), (centre, others) = LINES.values()
    rows = along(table, hill, names)
    assert rows["station"].tolist() == ["ASW50", "HT", "ANE20"]
    assert rows["distance"].tolist() == pytest.approx([-460.98, 0, 205.18], abs=0.01)
    assert along(table, centre, others)["station"].tolist() == ["AASW10", "CP", "AANE10"]
    with pytest.raises(InputError, match="'HT' is missing"):
        along(table[table["station"] != "HT"], hill, names)


def test_the_lines_of_masts_are_drawn(tmp_path):
    stations().to_csv(tmp_path / "stations.csv", index=False)
    transect(stations=tmp_path / "stations.csv", output=tmp_path / "transects.svg")
    text = (tmp_path / "transects.svg").read_text()
    assert "<svg" in text and len(text) > 10_000
