"""The README shows the table of published results, and the table holds what a run has found."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from casestudies.config import Config
from casestudies.errors import InputError
from casestudies.published import (
    COLUMNS,
    draw,
    markdown,
    published,
    questions,
    read_config,
    read_rows,
    show,
)
from casestudies.tables import write_table
from tests.conftest import ROOT

TABLE = read_rows(ROOT / "docs/published.csv")
README = ROOT / "README.md"
PAGE = (
    "# One\n<!-- published -->\n<!-- /published -->\n"
    "<!-- finding: run.yaml wind/massifs/finding.txt -->\nold\n<!-- /finding -->\n"
    "<!-- finding: other.yaml wind/massifs/finding.txt -->\nkept\n<!-- /finding -->\n"
)


def test_the_readme_shows_the_table():
    text = README.read_text()
    assert show(text, TABLE, README) == text


def test_every_line_is_of_a_headline_and_of_a_run_in_config():
    for line in questions(TABLE):
        assert line.headline.model in line.scores.index and line.rival in line.scores.index
        low, high = line.relative()[1:]
        assert low <= line.relative()[0] <= high
        told_apart = low > 0 or high < 0
        assert (line.verdict != "not told apart") == told_apart, line
    for run in TABLE["run"].unique():
        config = read_config(ROOT / run.rpartition(" ")[2])
        rows = TABLE[TABLE["run"] == run]
        for study, dataset in rows[["study", "dataset"]].drop_duplicates().itertuples(index=False):
            assert dataset in config.studies[study].datasets


def _row(model: str, estimate: float, reference: str | None = None) -> dict:
    row = {"scheme": "terrain", "model": model, "metric": "rmse", "estimate": estimate}
    row |= {"lower": estimate - 0.01, "upper": estimate + 0.01, "samples": 9, "groups": 9}
    return row if reference is None else row | {"reference": reference}


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """Results of one data set, a configuration, and pages to be filled."""
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(yaml.safe_dump({"wind": {"datasets": ["massifs"]}}))
    folder = Path("results/wind/massifs")
    scores = {"surrogate": 0.03, "log_law": 0.2, "ridge": 0.08, "linear": 0.1}
    write_table(pd.DataFrame([_row(*item) for item in scores.items()]), folder / "scores.csv")
    pairs = [
        _row("surrogate", 0.03 - value, name) for name, value in scores.items() if value > 0.03
    ]
    write_table(pd.DataFrame(pairs), folder / "comparisons.csv")
    units = {"units": {"speed": "1"}}
    write_table(pd.DataFrame({"sample": ["a"]}), folder / "prepared.parquet", units)
    config = Config(wind={"datasets": ["massifs"]}).wind.model_dump(mode="json")
    (folder / "provenance.json").write_text(json.dumps({"commit": "abc", "config": config}))
    (folder / "finding.txt").write_text("A headline.\nA line.\n")
    Path("README.md").write_text(PAGE)
    Path("findings.md").write_text(PAGE)
    return folder


def bring(**options) -> None:
    paths = {"table": Path("table.csv"), "findings": Path("findings.md")}
    published(configfile=Path("run.yaml"), picture=Path("picture.svg"), **paths, **options)


def test_a_run_fills_table_picture_and_pages(run):
    bring()
    table = read_rows(Path("table.csv"))
    assert list(table.columns) == list(COLUMNS) and set(table["commit"]) == {"abc"}
    (line,) = questions(table)
    assert line.rival == "ridge" and line.verdict == "better"
    assert line.relative()[0] == pytest.approx(-0.05 / 0.08)
    page = Path("README.md").read_text()
    assert markdown(table) in page and "ridge on terrain features 0.080" in page
    assert Path("picture.svg").is_file()
    findings = Path("findings.md").read_text()
    assert "A headline.\n\n- A line.\n<!-- /finding -->" in findings
    assert "old" not in findings and "kept" in findings


def test_what_was_not_run_again_is_kept_and_what_was_keeps_its_place(run):
    bring()
    table = read_rows(Path("table.csv"))
    other = table.assign(dataset="simulated-rans", estimate=table["estimate"] / 2)
    write_table(pd.concat([table.assign(estimate=0.5), other]), Path("table.csv"))
    bring()
    rows = read_rows(Path("table.csv")).groupby("dataset", sort=False)["estimate"].sum()
    assert list(rows.index) == ["massifs", "simulated-rans"]
    assert rows["simulated-rans"] == pytest.approx(table["estimate"].sum() / 2)
    assert rows["massifs"] == pytest.approx(table["estimate"].sum())


def test_a_number_that_no_longer_holds_is_named(run):
    bring()
    bring(check=True)
    text = Path("table.csv").read_text()
    Path("table.csv").write_text(text.replace("0.08,", "0.09,", 1))
    with pytest.raises(InputError, match=r"wind, massifs, terrain, rmse, ridge"):
        bring(check=True)


def test_results_of_another_configuration_are_refused(run):
    facts = json.loads((run / "provenance.json").read_text())
    facts["config"]["networks"] = ["unet"]
    (run / "provenance.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"another configuration \(wind: networks\)"):
        bring()
    assert not Path("table.csv").exists() and Path("README.md").read_text() == PAGE


def test_without_results_nothing_is_written(run):
    (run / "provenance.json").unlink()
    with pytest.raises(InputError, match="no results of the published data sets"):
        bring()
    assert not Path("table.csv").exists()


def test_the_picture_is_of_the_table(tmp_path):
    draw(TABLE, tmp_path / "published.svg")
    assert (tmp_path / "published.svg").read_text() == (ROOT / "docs/published.svg").read_text()
