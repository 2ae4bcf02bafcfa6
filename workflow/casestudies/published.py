"""The table of published results, and the pages that quote them, from the results of a run.

``docs/published.csv`` holds the headline numbers of the runs of ``config/published.yaml`` and
``config/rans.yaml``. The README shows them as a table; docs/findings.md quotes what each study
found, word for word. What a run has not made again is left as it stands, with its date.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.lines import Line2D

from casestudies.config import Config, load
from casestudies.config.schemes import Headline, Study
from casestudies.errors import InputError
from casestudies.figures.style import BLACK, BLUE, GREY, VERMILION, figure
from casestudies.files import writing
from casestudies.steps import log, main
from casestudies.tables import read_metadata, read_table, write_table
from casestudies.words import listed, verdict

COLUMNS = (
    "study",
    "dataset",
    "scheme",
    "metric",
    "unit",
    "model",
    "reference",
    "estimate",
    "lower",
    "upper",
    "samples",
    "groups",
    "run",
    "commit",
    "date",
)
"""The columns of the table; ``reference`` is empty for a score, and names what is subtracted for a
paired difference."""
NUMBERS = ("estimate", "lower", "upper", "samples")
BEGIN, END = "<!-- published -->", "<!-- /published -->"
"""What the table of a page stands between."""
_FINDING = re.compile(r"(<!-- finding: (\S+) (\S+) -->\n).*?(<!-- /finding -->)", re.DOTALL)


def published(
    *,
    configfile: Path,
    results: Path = Path("results"),
    table: Path = Path("docs/published.csv"),
    readme: Path = Path("README.md"),
    findings: Path = Path("docs/findings.md"),
    picture: Path = Path("docs/published.svg"),
    check: bool = False,
) -> None:
    """Bring the table of published results and the pages up to what a run has found.

    Parameters
    ----------
    configfile
        The configuration of the run. Only data sets that it names are taken, and only if they were
        run with it; of those without results the rows are kept.
    results
        Folder of the results.
    table
        The table (CSV), written again.
    readme
        Page with the marks that the table is shown between, written again.
    findings
        Page with marks that the findings are quoted between, written again.
    picture
        The table as a figure, written again.
    check
        Write nothing; fail if a number of the table is not that of the results.
    """
    config = read_config(configfile)
    old = read_rows(table) if table.is_file() else pd.DataFrame(columns=COLUMNS)
    new = [
        rows(
            results, config.studies[study], dataset, f"snakemake {study} --configfile {configfile}"
        )
        for study, dataset in found(results, config)
    ]
    if check:
        for each in new:
            compare(old, each, table)
        return
    write_table(merge(old, new, list(config.studies)), table)
    draw(read_rows(table), picture)
    _rewrite(readme, show(readme.read_text(encoding="utf-8"), read_rows(table), readme))
    _rewrite(findings, quote(findings.read_text(encoding="utf-8"), results, configfile, config))


def read_config(path: Path) -> Config:
    """Return the configuration of a run: a file laid over the defaults, as Snakemake does."""
    if not path.is_file():
        raise InputError(f"--configfile: {path}: no such file.")
    given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return load(_over(Config().model_dump(mode="json"), given))


def _over(base: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``given``; dictionaries are merged, lists replaced."""
    merged = dict(base)
    for key, value in given.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _over(base[key], value) if both else value
    return merged


def found(results: Path, config: Config) -> list[tuple[str, str]]:
    """Return study and data set of what was run with a configuration.

    Raises
    ------
    InputError
        If a data set was run with another configuration, or none has results.
    """
    there = []
    for name, study in config.studies.items():
        for dataset in study.datasets:
            path = results / name / dataset / "provenance.json"
            if study.headline is None or dataset == "simulated":
                continue
            if not path.is_file():
                log.info("%s/%s has no results: its rows are kept", name, dataset)
                continue
            used = json.loads(path.read_text(encoding="utf-8"))["config"]
            wanted = study.model_dump(mode="json")
            if differing := sorted(key for key in wanted if used.get(key) != wanted[key]):
                raise InputError(
                    f"{path.parent}: was run with another configuration ({name}: "
                    f"{', '.join(differing)}); run it again with this one."
                )
            there.append((name, dataset))
    if not there:
        raise InputError(f"{results}: no results of the published data sets; run them first.")
    return there


def rows(results: Path, study: Study, dataset: str, run: str) -> pd.DataFrame:
    """Return the rows of one data set: scores of the headline's models, then paired differences."""
    folder = results / study.name / dataset
    headline = study.headline
    scores = read_table(folder / "scores.csv", complete=["scheme", "model", "metric"])
    pairs = read_table(folder / "comparisons.csv", complete=["scheme", "model", "reference"])
    metric = pairs["metric"].iloc[0]
    models = [headline.model, headline.baseline[0], *headline.rivals]
    scores = scores[(scores["metric"] == metric) & scores["model"].isin(models)]
    pairs = pairs[(pairs["model"] == headline.model) & pairs["reference"].isin(models)]
    frame = pd.concat([scores, pairs])
    frame = frame[frame["scheme"].isin(headline.held_out)]
    places = {name: position for position, name in enumerate(headline.held_out)}
    frame = frame.sort_values("scheme", key=lambda column: column.map(places), kind="stable")
    facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    written = datetime.fromtimestamp((folder / "scores.csv").stat().st_mtime, UTC)
    frame = frame.assign(
        study=study.name,
        dataset=dataset,
        unit=_unit(folder / "prepared.parquet", study.target),
        run=run,
        commit=facts["commit"],
        date=f"{written:%Y-%m-%d}",
    ).round(dict.fromkeys(NUMBERS, 8))
    return frame.reindex(columns=COLUMNS).reset_index(drop=True)


def _unit(prepared: Path, target: str) -> str | None:
    """Return the unit of what is predicted; None if it has none."""
    units = read_metadata(prepared).get("units")
    unit = units.get(target) if isinstance(units, dict) else units
    return None if unit == "1" else unit


def merge(old: pd.DataFrame, new: list[pd.DataFrame], studies: list[str]) -> pd.DataFrame:
    """Return the table with new rows in place of old ones of the same data sets, by study."""
    keys = ["study", "dataset"]
    parts = dict(iter(old.groupby(keys, sort=False)))
    parts |= {tuple(each[keys].iloc[0]): each for each in new}
    merged = pd.concat(parts.values())
    return merged.sort_values("study", key=lambda name: name.map(studies.index), kind="stable")


def read_rows(path: Path) -> pd.DataFrame:
    """Read the table of published results."""
    return read_table(path, columns=COLUMNS, complete=["study", "dataset", "scheme", "model"])


def compare(old: pd.DataFrame, new: pd.DataFrame, path: Path) -> None:
    """Refuse a table whose numbers are not those of the results.

    Raises
    ------
    InputError
        Naming the first row that differs.
    """
    keys = ["study", "dataset", "scheme", "metric", "model", "reference"]
    both = new.merge(old, on=keys, how="left", suffixes=("", "_old"))
    for row in both.to_dict("records"):
        if any(not _same(row[name], row[f"{name}_old"]) for name in NUMBERS):
            was = " ".join(str(row[f"{name}_old"]) for name in NUMBERS)
            now = " ".join(str(row[name]) for name in NUMBERS)
            place = ", ".join(str(row[key]) for key in keys if pd.notna(row[key]))
            raise InputError(f"{path}: {place}: {was} stands there, the results have {now}.")


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6


def show(page: str, table: pd.DataFrame, path: Path) -> str:
    """Return a page with the table of published results between its marks."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise InputError(f"{path}: needs the lines {BEGIN} and {END}, once each.")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(table)}{END}{after}"


@dataclass(frozen=True)
class Line:
    """One question of the table: a data set under a scheme."""

    study: str
    dataset: str
    held_out: str
    headline: Headline
    scores: pd.DataFrame
    """Scores, indexed by model."""
    pair: pd.Series
    """Paired difference of the model and its strongest rival."""
    rival: str
    """The rival that scores best, in hindsight: the hardest to beat."""

    @property
    def higher_is_better(self) -> bool:
        return self.headline.measure == "AUC"

    @property
    def verdict(self) -> str:
        return _VERDICTS[verdict(self.pair, smaller_is_better=not self.higher_is_better)]

    def relative(self) -> tuple[float, float, float]:
        """Return the difference of errors over the rival's, with its interval; error is 1 - AUC."""
        score = self.scores.loc[self.rival, "estimate"]
        values = [self.pair[name] / score for name in ("estimate", "lower", "upper")]
        if self.higher_is_better:
            values = [-self.pair[name] / (1 - score) for name in ("estimate", "upper", "lower")]
        return values[0], values[1], values[2]


_VERDICTS = {
    "beats": "better",
    "loses to": "worse",
    "is not told apart from": "not told apart",
}


def questions(table: pd.DataFrame) -> list[Line]:
    """Return the lines of the table of published results."""
    studies = Config().studies
    lines = []
    for (study, dataset, scheme), part in table.groupby(["study", "dataset", "scheme"], sort=False):
        headline = studies[study].headline
        scores = part[part["reference"].isna()].set_index("model")
        pairs = part[part["reference"].notna()].set_index("reference")
        rivals = scores.loc[scores.index.intersection(list(headline.rivals)), "estimate"]
        rival = rivals.idxmax() if headline.measure == "AUC" else rivals.idxmin()
        held_out = headline.held_out[scheme]
        lines.append(Line(study, dataset, held_out, headline, scores, pairs.loc[rival], rival))
    return lines


def markdown(table: pd.DataFrame) -> str:
    """Return the table of published results as the README shows it: a line for each question.

    Rows without a commit were read from a finding in words, before this table was kept.
    """
    lines = [
        "| study, data set | held out | n | score | baseline | strongest rival "
        "| model of the claim | difference |",
        "|---|---|---:|---|---|---|---|---|",
        *(_row(line) for line in questions(table)),
    ]
    read = table.loc[table["commit"].isna(), ["study", "dataset"]].drop_duplicates()
    if len(read):
        names = listed(
            [f"{study}, {dataset}" for study, dataset in read.itertuples(index=False)], ";"
        )
        lines += ["", f"Rounded, as read from the findings in words until the next run: {names}."]
    return "\n".join(lines) + "\n"


def _row(line: Line) -> str:
    headline, claim = line.headline, line.scores.loc[line.headline.model]
    unit = f", {claim['unit'].replace('-1', '⁻¹')}" if pd.notna(claim["unit"]) else ""
    baseline = headline.baseline

    def number(value: float, sign: str = "") -> str:
        return f"{value:{sign}z.{headline.digits}f}".replace("-", "−")

    def score(model: str) -> str:
        return number(line.scores.loc[model, "estimate"])

    def interval(row: pd.Series, sign: str = "") -> str:
        low, high = number(row["lower"], sign), number(row["upper"], sign)
        return f"{number(row['estimate'], sign)} [{low}, {high}]"

    return (
        f"| {line.study}, {line.dataset} | {line.held_out} | {claim['samples']:.0f} "
        f"| {headline.measure}{unit} | {baseline[1]} {score(baseline[0])} "
        f"| {headline.rivals[line.rival]} {score(line.rival)} "
        f"| {headline.label} {interval(claim)} | {line.verdict}: {interval(line.pair, '+')} |"
    )


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw by how much the error of each study's model differs from that of its strongest rival."""
    lines = questions(table)
    places: list[float] = []
    headings: dict[float, str] = {}
    place = 0.0
    for line, before in zip(lines, [None, *lines], strict=False):
        if before is None or before.study != line.study:
            place += 0.4 if before else 0
            headings[place] = f"{line.study}: {line.headline.label}"
            place += 1
        places.append(place)
        place += 1
    with figure(path, size=(9, 0.24 * place + 1)) as (drawing, (axis,)):
        for line, y in zip(lines, places, strict=True):
            middle, low, high = (100 * value for value in line.relative())
            colour, marker = _STYLES[line.verdict]
            axis.plot([low, high], [y, y], color=colour, lw=2)
            axis.plot(middle, y, marker, color=colour, ms=6)
            axis.annotate(
                f"{line.headline.rivals[line.rival]}",
                (1.01, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8,
            )
        axis.annotate("against", (1.01, 1), xycoords="axes fraction", fontsize=8, weight="bold")
        axis.axvline(0, color=BLACK, lw=1)
        names = [f"{line.dataset}: {line.held_out}" for line in lines]
        ticks = axis.set_yticks([*headings, *places], [*headings.values(), *names], fontsize=8)
        for tick in ticks[: len(headings)]:
            tick.label1.set_weight("bold")
            tick.tick1line.set_visible(False)
        axis.set_ylim(place - 0.4, -0.6)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("error less that of the strongest rival (% of the rival's)")
        handles = [
            Line2D([], [], color=colour, marker=marker, label=verdict)
            for verdict, (colour, marker) in _STYLES.items()
        ]
        drawing.legend(handles=handles, loc="outside upper center", ncols=3)


_STYLES = {"better": (BLUE, "o"), "not told apart": (GREY, "s"), "worse": (VERMILION, "D")}


def quote(page: str, results: Path, configfile: Path, config: Config) -> str:
    """Return a page with the findings of a run between its marks.

    A mark names the configuration of the run and the file below the folder of results; findings of
    other runs, and of data sets without results, are left as they stand.
    """
    complete = {
        name
        for name, study in config.studies.items()
        if all((results / name / dataset / "scores.csv").is_file() for dataset in study.datasets)
    }

    def block(match: re.Match[str]) -> str:
        begin, source, file, end = match.groups()
        path = results / file
        if source != str(configfile) or not path.is_file() or Path(file).parts[0] not in complete:
            return match.group()
        headline, *lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join([headline, "", *(f"- {line}" for line in lines)]).rstrip()
        return f"{begin}{text}\n{end}"

    return _FINDING.sub(block, page)


def _rewrite(path: Path, text: str) -> None:
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(published)
