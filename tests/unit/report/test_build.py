"""Words, tables and pages of the report, from a few files made here."""

import json
import re
import zipfile
from urllib.parse import unquote

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.report import Item
from casestudies.report.build import (
    alternative,
    as_table,
    build,
    costs,
    embedded,
    first_sentence,
    number,
    rough,
)
from casestudies.report.studies import words

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="9"
 height="9"><title>100 % &amp; '#1'</title></svg>
"""
CAPTION = "<p>RMSE of every model of <em>hills</em>, out of fold. Look at the order.</p>"


@pytest.fixture
def results(tmp_path, monkeypatch) -> list[Item]:
    """The results of a study that the report knows nothing of."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/tide/hills"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures/scores.svg").write_text(SVG)
    (folder / "finding.txt").write_text("The moon wins by 0.3 [0.1, 0.5] & more.\nA line.\n")
    rows = [("kfold", "moon", m, 0.5, 0.4, 0.6, 30, 9) for m in ("rmse", "r2")]
    columns = ["scheme", "model", "metric", "estimate", "lower", "upper", "samples", "groups"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "scores.csv", index=False)
    steps = {"kfold/moon": {"model": "moon", "seconds": 2.0, "joules": 7200.0, "co2e_kg": 0.001}}
    facts = {"commit": "abc123", "versions": {"python": "3.11"}, "platform": "x", "steps": steps}
    (folder / "provenance.json").write_text(json.dumps(facts))
    paths = ["figures/scores.svg", "finding.txt", "scores.csv"]
    return [
        Item((folder / one).relative_to(tmp_path), "Tide", "hills", one, CAPTION) for one in paths
    ]


def test_a_study_that_the_report_does_not_know_has_the_same_pages(results, tmp_path):
    build(results, {}, tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = set(archive.namelist())
        page, front = (archive.read(f"report/{name}.html").decode() for name in ("tide", "report"))
    assert {"report/cost.html", "report/scores.html", "report/provenance.html"} < names
    assert "report/files/tide/hills/figures/scores.svg" in names
    assert "The moon wins by 0.3 [0.1, 0.5] &amp; more." in front and "abc123" in front
    assert 'alt="RMSE of every model of hills, out of fold."' in page


def test_the_same_results_make_the_same_report(results, tmp_path):
    build(results, {}, tmp_path / "one.zip")
    build(results, {}, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_one_file_names_no_other(results, tmp_path):
    build(results, {}, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert set(re.findall(r'(?:src|href)="([^"#]{5})', text)) == {"data:"}
    assert 'id="tide"' in text and text.count("data:image/svg+xml,<svg") == 2


def test_a_report_of_nothing_and_one_of_no_kind_are_refused(results, tmp_path):
    with pytest.raises(InputError, match=r"\.zip or a \.html"):
        build(results, {}, tmp_path / "report.pdf")
    with pytest.raises(InputError, match="nothing to report"):
        build([], {}, tmp_path / "report.zip")
    assert not list(tmp_path.glob("report.*"))


def test_an_embedded_image_comes_back_whole(tmp_path):
    (tmp_path / "a.svg").write_text(SVG)
    address = embedded(tmp_path / "a.svg")
    assert '"' not in address and "&" not in address and "#" not in address
    assert unquote(address.partition(",")[2]) == " ".join(SVG.split())
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert embedded(tmp_path / "a.png") == "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (CAPTION, "RMSE of every model of hills, out of fold."),
        ("<p>As in Taylor et al. Nature. Second.</p>", "As in Taylor et al. Nature."),
        (
            "<p><em>The lecture's claim.</em> It is so.</p><p>Errors &amp; parts. More.</p>",
            "Errors & parts.",
        ),
        ("<p><em>The lecture's claim.</em> It is so.</p>", "It is so."),
        ("<p><em>Found.</em> Energy of steps. More.</p>", "Energy of steps."),
        ("", "Figure: scores of hills."),
    ],
)
def test_alternative_texts_say_what_is_drawn(tmp_path, caption, expected):
    item = Item(tmp_path / "scores.svg", "Tide", "hills", "scores", caption)
    assert alternative(item) == expected


@settings(deadline=None)
@given(st.text(max_size=200))
def test_a_first_sentence_begins_the_text(text):
    assert text.startswith(first_sentence(text).removesuffix("."))


@settings(deadline=None)
@given(st.floats(-1e300, 1e300))
def test_numbers_keep_their_size(value):
    text = number(value).replace("−", "-")
    raised = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    if "·10" in text:
        digits, power = text.split("·10")
        text = f"{digits}e{power.translate(raised)}"
    assert float(text) == pytest.approx(value, rel=0.06, abs=0)


def test_what_is_missing_stays_blank_and_orders_stay_rough():
    assert number(None) == number(float("nan")) == ""
    assert rough(19883.4) == "20,000" and rough(483335607) == "480,000,000"
    assert words("unet_corrected") == "U-Net corrected"


def test_tables_offer_what_can_be_chosen():
    frame = pd.DataFrame(
        {"scheme": ["a", "a"], "metric": ["rmse", "r2"], "estimate": [1.0, None], "note": None}
    )
    table = as_table(frame, "k", "c", ["scheme", "metric"], {"metric": "r2"})
    assert [column.name for column in table.columns] == ["scheme", "metric", "estimate"]
    assert table.columns[0].choices == [] and table.columns[1].choices == ["RMSE", "R²"]
    assert table.chosen == {"metric": "R²"}
    assert table.rows[1][2] == ("", None)
    assert as_table(frame, "k", "c", ["metric"], {"metric": "auc"}).chosen == {}


def test_models_are_called_as_in_the_figures_of_their_study():
    frame = pd.DataFrame({"model": ["ridge", "moon_landing"], "reference": ["unet", "mean"]})
    rows = as_table(frame, "k", "c", ["model"], study="wind").rows
    assert [[text for text, _ in row] for row in rows] == [
        ["ridge on terrain features", "U-Net"],
        ["moon landing", "mean"],
    ]
    frame = pd.DataFrame({"study": ["glacier", "mwas", "tree"], "model": ["ridge"] * 3})
    table = as_table(frame, "k", "c", ["model"], study="wind")
    assert table.columns[1].choices == ["ridge", "ridge, transform chosen"]


def test_costs_that_were_not_measured_are_not_zero():
    steps = pd.DataFrame(
        {
            "model": ["net", "net", "line"],
            "seconds": [1.0, 2.0, 3.0],
            "joules": [3600.0, None, None],
            "co2e_kg": [0.002, None, None],
        }
    )
    found = costs(steps, ["model"]).set_index("model")
    assert found.loc["net"].tolist() == [2, 3.0, 1.0, 2.0]
    assert found.loc["line", ["energy (Wh)", "CO2e (g)"]].isna().all()
