"""The pages of the report, as a zip of files or as one file that holds all."""

import base64
import html
import json
import mimetypes
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from casestudies.config import Config, load
from casestudies.datasets import DATASETS
from casestudies.errors import InputError
from casestudies.files import writing
from casestudies.report import Item
from casestudies.report.studies import LAYOUTS, OF_ALL_DECIDES, Layout, model_label, words
from casestudies.tables import read_table

HERE = Path(__file__).parent
IMAGES = (".svg", ".png")
FIRST = "report"
"""The front page, report/report.html in the zip."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCODED = str.maketrans({sign: f"%{ord(sign):02X}" for sign in '%#"&'})
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# ------------------------------------------------------------------------------------ what is shown


def plain(text: str) -> str:
    """Return HTML as plain text; only tags of blocks part words."""
    text = re.sub(r"</?(?:p|li|ul|ol|div|br)\b[^>]*>", " ", text)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def first_sentence(text: str) -> str:
    """Return the first sentence of a plain text.

    A full stop ends it if a capital follows, and no initial or abbreviation stands before it.
    """
    for match in re.finditer(r"\. (?=[A-Z])", text):
        before = text[: match.start()]
        if not re.search(r"\b(al|et|e\.g|i\.e|cf|Fig|vs|[A-Z])$", before):
            return before + "."
    return text


def alternative(item: Item) -> str:
    """Return the alternative text of a figure: what its caption says first of the figure itself.

    A paragraph that quotes the lecture's claim says nothing of what is drawn.
    """
    paragraphs = re.findall(r"<p>(.*?)</p>", item.caption, re.DOTALL)
    own = [one for one in paragraphs if not one.lstrip().startswith("<em>The lecture's claim.")]
    text = " ".join(re.sub(r"^\s*<em>[^<]*\.</em>\s*", "", one) for one in own or paragraphs)
    text = first_sentence(plain(text))
    return text or f"Figure: {item.label}{f' of {item.dataset}' if item.dataset else ''}."


def number(value: Any) -> str:
    """Return a cell of a table: about three significant digits, nothing where missing."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    size = abs(value)
    if size < 1e5 and value == int(value):
        text = f"{value:.0f}"
    elif size < 1e-3 or size >= 1e5:
        digits, power = f"{value:.2e}".split("e")
        text = f"{digits}·10{str(int(power)).translate(_RAISED)}"
    elif size < 0.1:
        text = f"{value:.2g}" if size < 0.01 else f"{value:.3f}"
    else:
        text = f"{value:.3f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:.0f}"
    return text.replace("-", "−")


def rough(value: float) -> str:
    """Return a number of which no more than the order is known: two significant digits."""
    return f"{float(f'{value:.2g}'):,.0f}"


def embedded(path: Path) -> Markup:
    """Return an image as an address that holds it, fit for an attribute of HTML.

    An SVG stays text, of which only what would end the address or the attribute is encoded: that
    takes a quarter less room than base64.
    """
    if path.suffix == ".svg":
        text = " ".join(path.read_text(encoding="utf-8").split())
        return Markup(f"data:image/svg+xml,{text.translate(_ENCODED)}")  # noqa: S704 - encoded
    kind = mimetypes.guess_type(path.name)[0]
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Markup(f"data:{kind};base64,{content}")  # noqa: S704 - letters and digits


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, whether it holds numbers, whether rows are chosen by it."""

    name: str
    numeric: bool
    choices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """A table as a page shows it: text to read, values to sort by.

    Parameters
    ----------
    key
        Name, unlike that of any other table of the report.
    caption
        What it holds.
    columns
        Its columns.
    rows
        For each row the cells, (text, value to sort by).
    chosen
        What is chosen at first, by column.
    file
        Address of the file that it was read from, if the report holds it.
    """

    key: str
    caption: str
    columns: list[Column]
    rows: list[list[tuple[str, Any]]]
    chosen: dict[str, str] = field(default_factory=dict)
    file: str = ""


def as_table(
    frame: pd.DataFrame,
    key: str,
    caption: str,
    choose_by: Sequence[str] = (),
    chosen: Mapping[str, str] | None = None,
    file: str = "",
    study: str | None = None,
) -> Table:
    """Return a table for a page; names of models, schemes and metrics become words.

    Models are called as in the figures of their study: that of the row, or else ``study``.
    """
    studies = frame["study"] if "study" in frame else [study] * len(frame)
    frame = frame.dropna(axis=1, how="all")
    named = {"study", "scheme", "metric", "kind", "unit", "position"}
    columns, cells = [], []
    for name in frame.columns:
        values = frame[name]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if numeric:
            texts = [number(value) for value in values.tolist()]
            sort = [None if pd.isna(value) else value for value in values.tolist()]
        elif name in ("model", "reference"):
            texts = [model_label(*pair) for pair in zip(studies, map(str, values), strict=True)]
            sort = texts
        else:
            texts = [words(str(v)) if name in named else number(v) for v in values.tolist()]
            sort = texts
        options = list(dict.fromkeys(texts)) if name in choose_by else []
        columns.append(Column(words(str(name)), numeric, options if len(options) > 1 else []))
        cells.append(list(zip(texts, sort, strict=True)))
    first = {words(name): words(value) for name, value in (chosen or {}).items()}
    known = {column.name: column.choices for column in columns}
    first = {name: value for name, value in first.items() if value in known.get(name, [])}
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table(key, caption, columns, rows, first, file)


@dataclass(frozen=True)
class Part:
    """One data set of a study, or (``dataset`` None) what belongs to all of them."""

    study: str
    dataset: str | None
    items: list[Item]
    layout: Layout

    @property
    def figures(self) -> list[Item]:
        return [item for item in self.items if item.path.suffix in IMAGES]

    @property
    def results(self) -> list[Item]:
        """Figures that show results, in the order of the layout."""
        place = {name: k for k, name in enumerate(self.layout.results)}
        return sorted(
            (item for item in self.figures if item.name in place),
            key=lambda item: place[item.name],
        )

    @property
    def diagnostics(self) -> list[Item]:
        return [item for item in self.figures if item.name not in self.layout.results]

    @property
    def finding(self) -> list[str]:
        """The finding: a headline, then what it rests on; empty if there is none."""
        paths = [item.path for item in self.items if item.path.name == "finding.txt"]
        return paths[0].read_text(encoding="utf-8").splitlines() if paths else []

    @cached_property
    def document(self) -> tuple[Item, str] | None:
        """What a reader can point at, and its data."""
        for item in self.items:
            if item.path.suffix == ".json" and item.name == "explore":
                return item, item.path.read_text(encoding="utf-8")
        return None

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the scores rest on; empty if the run has made none."""
        for item in self.items:
            path = item.path.with_name("provenance.json")
            if item.name == "scores" and path.is_file():
                return json.loads(path.read_text(encoding="utf-8"))
        return {}

    def csv(self, name: str) -> Item | None:
        """Return the table of a name, if it is in the report."""
        found = [item for item in self.items if item.path.name == f"{name}.csv"]
        return found[0] if found else None

    @property
    def other_tables(self) -> list[Item]:
        known = ("scores", "comparisons")
        return [i for i in self.items if i.path.suffix == ".csv" and i.name not in known]


@dataclass(frozen=True)
class StudyPage:
    """What the page of a study shows."""

    name: str
    title: str
    parts: list[Part]
    layout: Layout
    config: Any

    @property
    def general(self) -> Part | None:
        return next((part for part in self.parts if part.dataset is None), None)

    @property
    def data(self) -> list[Part]:
        """The data sets, in the order of the configuration."""
        return [part for part in self.parts if part.dataset is not None]

    @property
    def kinds(self) -> set[str]:
        return {self.kind(part.dataset) for part in self.data}

    @property
    def simulated(self) -> bool:
        """Whether a data set is simulated, in part or wholly."""
        return bool(self.kinds & {"simulated", "partly simulated"})

    @property
    def real(self) -> bool:
        """Whether a data set was measured, in part or wholly."""
        return bool(self.kinds - {"simulated"})

    def kind(self, dataset: str) -> str:
        """Return "simulated", "published", "partly simulated" or "your own"."""
        if dataset in getattr(self.config, "local", {}):
            return "your own"
        sources = self.config.sources(dataset) if self.known(dataset) else ()
        simulated = [source.startswith("simulated/") for source in sources]
        if any(simulated):
            return "simulated" if all(simulated) else "partly simulated"
        return "published"

    def known(self, dataset: str) -> bool:
        """Whether a data set is one of the configuration; others are made for comparison only."""
        return self.config is not None and dataset in self.config.datasets

    def sources(self, dataset: str) -> list[Any]:
        """Return the published data sets that one is made from."""
        names = self.config.sources(dataset) if self.known(dataset) else (dataset,)
        names = [*names, dataset, dataset.split("-")[0]]
        return [DATASETS[name] for name in dict.fromkeys(names) if name in DATASETS]

    def parameters(self, dataset: str) -> pd.DataFrame | None:
        """Return the parameters of a simulation: parameter, value, unit, basis, source."""
        if not self.known(dataset):
            return None
        for source in self.config.sources(dataset):
            path = Path("data/raw") / source / "parameters.json"
            if source.startswith("simulated/") and path.is_file():
                facts = json.loads(path.read_text(encoding="utf-8"))
                rows = [
                    {"parameter": name, "value": str(value), "unit": "", "basis": "configuration"}
                    for name, value in facts.get("options", {}).items()
                ]
                rows += [
                    {"parameter": name, **one, "value": number(one["value"])}
                    for name, one in facts.get("parameters", {}).items()
                    if isinstance(one, dict) and "value" in one
                ]
                frame = pd.DataFrame(rows).fillna("")
                frame["parameter"] = [name.replace("_", " ") for name in frame["parameter"]]
                return frame
        return None

    @property
    def decisive(self) -> Item | None:
        """The figure that decides the claim: on published data if there are any."""
        order = sorted(self.data, key=lambda part: self.kind(part.dataset) != "published")
        for name in self.layout.decides:
            if name in OF_ALL_DECIDES and len(self.data) < 2:
                continue
            for part in [*filter(None, [self.general]), *order]:
                for item in part.figures:
                    if item.name == name:
                        return item
        return next((item for part in order for item in part.figures), None)

    @property
    def findings(self) -> list[tuple[str | None, list[str]]]:
        """The findings by data set (None: of all), those of all alone if there are such."""
        if self.general and self.general.finding:
            return [(None, self.general.finding)]
        return [(part.dataset, part.finding) for part in self.data if part.finding]

    @property
    def headlines(self) -> list[tuple[str | None, list[str]]]:
        """The findings of the front page: that of the only data set, if it has one of its own."""
        own = [(None, part.finding) for part in self.data if part.finding]
        return own if len(self.data) == len(own) == 1 else self.findings

    @property
    def schemes(self) -> dict[str, Any]:
        """The schemes that serve one of the data sets."""
        used = {
            name
            for part in self.data
            if self.known(part.dataset)
            for name in self.config.schemes_of(part.dataset)
        }
        return {name: one for name, one in self.config.schemes.items() if name in used}


def study_of(item: Item) -> str | None:
    """Return the study of a file, from its place below the folder of results."""
    parts = item.path.parts
    return parts[1] if len(parts) > 2 and parts[0] == "results" else None


def study_pages(items: Sequence[Item], config: Config) -> list[StudyPage]:
    """Return the page of each study that the items belong to, as the configuration orders them."""
    found: dict[str, list[Item]] = {}
    for item in items:
        if study := study_of(item):
            found.setdefault(study, []).append(item)
    order = [*config.studies, *found]
    pages = []
    for name in sorted(found, key=order.index):
        section = config.studies.get(name)
        layout = LAYOUTS.get(name, Layout())
        datasets = list(dict.fromkeys(item.dataset for item in found[name]))
        wanted = [*(section.datasets if section else []), *datasets]
        parts = [
            Part(name, dataset, [item for item in found[name] if item.dataset == dataset], layout)
            for dataset in sorted(datasets, key=lambda one: wanted.index(one))
        ]
        title = section.title if section else found[name][0].category
        pages.append(StudyPage(name, title, parts, layout, section))
    return pages


def steps_of(pages: Sequence[StudyPage]) -> pd.DataFrame:
    """Return the steps that fitted models: study, data set, scheme, model, device, seconds, ..."""
    rows = [
        {
            "study": page.name,
            "data set": part.dataset,
            "scheme": name.split("/")[0],
            "model": step.get("model", name.split("/")[-1]),
            "device": step.get("device_name") or step.get("device") or "",
            "seed": str(step.get("seed", "")),
            "seconds": float(step.get("seconds") or 0),
            "joules": step.get("joules"),
            "co2e_kg": step.get("co2e_kg"),
        }
        for page in pages
        for part in page.data
        for name, step in part.provenance.get("steps", {}).items()
    ]
    columns = ["study", "data set", "scheme", "model", "device", "seed", "seconds"]
    frame = pd.DataFrame(rows, columns=[*columns, "joules", "co2e_kg"])
    return frame.astype({"joules": float, "co2e_kg": float})


def costs(steps: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the sums of seconds, energy (Wh) and CO2e (g) of steps; missing where not measured."""
    if steps.empty:
        return pd.DataFrame(columns=[*by, "fits", "seconds", "energy (Wh)", "CO2e (g)"])
    table = steps.groupby(list(by), sort=False).agg(
        fits=("seconds", "size"),
        seconds=("seconds", "sum"),
        joules=("joules", lambda values: values.sum(min_count=1)),
        co2e=("co2e_kg", lambda values: values.sum(min_count=1)),
    )
    table["energy (Wh)"] = table.pop("joules") / 3600
    table["CO2e (g)"] = table.pop("co2e") * 1000
    return table.reset_index()


@dataclass(frozen=True)
class Trained:
    """What the training of networks has cost: of all studies, or of those in the report."""

    kwh: float
    co2e_kg: float
    seconds: float
    methods: list[str]
    rows: pd.DataFrame


def trained(pages: Sequence[StudyPage]) -> Trained | None:
    """Return the cost of training from the table of costs, the widest that the report holds."""
    items = [item for page in pages for part in page.parts for item in part.items]
    for name in ("cost_all.csv", "cost_lecture.csv"):
        for item in items:
            if item.path.name == name:
                table = read_table(item.path, columns=["study", "model", "seconds", "kwh"])
                methods = sorted(table["method"].dropna().unique())
                sums = table[["kwh", "co2e_kg", "seconds"]].sum()
                return Trained(sums["kwh"], sums["co2e_kg"], sums["seconds"], methods, table)
    return None


# ------------------------------------------------------------------------------------------- pages


class Site:
    """Renders pages and gathers the files that they name.

    Parameters
    ----------
    single
        Whether all pages are sections of one file, which holds images as well.
    """

    def __init__(self, items: Sequence[Item], config: Config, single: bool) -> None:
        self.single = single
        self.config = config
        self.files: dict[str, Path] = {}
        self.studies = study_pages(items, config)
        self.run = next((item for item in items if item.path.name == "provenance.json"), None)
        self.environment = Environment(
            loader=PackageLoader("casestudies.report"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self.environment.filters |= {
            "number": number,
            "rough": rough,
            "sentence": first_sentence,
            "words": words,
        }
        self.environment.globals |= {
            "site": self,
            "config": config,
            "alternative": alternative,
            "lead": lambda item: first_sentence(plain(item.caption)),
            "confidence": f"{100 * config.scores.confidence:.0f} %",
        }

    # Addresses

    @property
    def pages(self) -> dict[str, str]:
        """Titles of the pages by key, in the order of the navigation."""
        titles = {FIRST: "Overview", **{page.name: page.title for page in self.studies}}
        if any(part.csv("scores") for page in self.studies for part in page.data):
            titles["scores"] = "All scores"
        return {**titles, "cost": "Cost", "provenance": "Provenance"}

    def link(self, page: str, place: str = "") -> str:
        """Return the address of a page, or of a place on it."""
        anchor = self.anchor(page, place)
        if self.single:
            return f"#{anchor}"
        return f"{page}.html#{anchor}" if place else f"{page}.html"

    @staticmethod
    def anchor(page: str, place: str = "") -> str:
        """Return the id of a place, unlike that of any other page."""
        return re.sub(r"[^\w-]", "-", f"{page}-{place}") if place else page

    def source(self, item: Item) -> str:
        """Return the address of a figure: its file in the zip, or the image itself."""
        return embedded(item.path) if self.single else self.file(item)

    def file(self, item: Item) -> str:
        """Return the address of a file in the zip; "" in a single file, which holds no others."""
        if self.single:
            return ""
        address = "/".join(("files", *item.path.parts[1:]))
        self.files[address] = item.path
        return address

    # Tables

    def scores_table(self, page: StudyPage, part: Part) -> Table | None:
        """Return the table of a data set's scores, the metric of comparison chosen first."""
        item = part.csv("scores")
        if item is None:
            return None
        return as_table(
            read_table(item.path, columns=["scheme", "model", "metric", "estimate"]),
            self.anchor(page.name, f"{part.dataset}-scores-table"),
            f"Scores of {part.dataset}: estimate and {100 * self.config.scores.confidence:.0f} % "
            "interval (lower, upper), out of fold",
            ["scheme", "model", "metric"],
            {"metric": page.layout.metric},
            self.file(item),
            page.name,
        )

    def csv_table(self, page: StudyPage, part: Part, item: Item) -> Table:
        """Return any other table of the report."""
        choices = ["scheme", "metric", "model", "reference", "kind", "study"]
        return as_table(
            read_table(item.path),
            self.anchor(page.name, f"{part.dataset or 'all'}-{item.name}-table"),
            plain(item.caption),
            choices,
            {},
            self.file(item),
            page.name,
        )

    def all_scores(self) -> Table:
        """Return one table of all scores of all studies."""
        frames = []
        for page in self.studies:
            for part in page.data:
                if item := part.csv("scores"):
                    frame = read_table(item.path)
                    frame.insert(0, "data set", part.dataset)
                    frame.insert(0, "study", page.name)
                    frames.append(frame.astype({"groups": str} if "groups" in frame else {}))
        return as_table(
            pd.concat(frames, ignore_index=True),
            "all-scores-table",
            "All scores of the run: estimate and interval (lower, upper), out of fold",
            ["study", "data set", "scheme", "model", "metric"],
        )

    def cost_table(self, page: StudyPage, part: Part) -> Table | None:
        """Return what each model of a data set has cost."""
        found = costs(steps_of([StudyPage(page.name, "", [part], page.layout, None)]), ["model"])
        if found.empty:
            return None
        key = self.anchor(page.name, f"{part.dataset}-cost-table")
        caption = f"Cost of the models of {part.dataset}, all schemes together"
        return as_table(found, key, caption, study=page.name)

    def costs_by_study(self) -> Table:
        found = costs(steps_of(self.studies), ["study", "data set"])
        return as_table(
            found, "cost-study-table", "Cost of fitting all models of a study, all schemes together"
        )

    def cost_figures(self) -> list[Item]:
        """The figures of costs, that of all studies alone if there is one."""
        items = [i for page in self.studies for part in page.parts for i in part.figures]
        for name in ("cost_all", "cost_lecture"):
            if found := [item for item in items if item.name == name]:
                return found
        return []

    def steps_table(self) -> Table:
        frame = steps_of(self.studies).rename(columns={"co2e_kg": "CO2e (kg)"})
        return as_table(
            frame,
            "provenance-steps-table",
            "Every fitted model: device, seed, seconds, energy and CO2e",
            ["study", "data set", "scheme", "model"],
        )

    def plain_table(self, frame: pd.DataFrame, key: str, caption: str) -> Table:
        return as_table(frame, key, caption)

    # Facts

    @cached_property
    def trained(self) -> Trained | None:
        return trained(self.studies)

    @property
    def published_costs(self) -> list[dict[str, Any]]:
        """Strubell et al. (2019), Table 3: model, kwh, co2e_kg."""
        from casestudies.lecture.cost import published

        return published().to_dict("records")

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Commit, versions, platform and seed of the run."""
        for page in self.studies:
            for part in page.data:
                if part.provenance:
                    return {**part.provenance, "seed": self.config.seed}
        return {"commit": "unknown", "versions": {}, "platform": "", "seed": self.config.seed}

    @property
    def seconds(self) -> float:
        return float(steps_of(self.studies)["seconds"].sum())

    @property
    def configuration(self) -> str:
        return json.dumps(self.config.model_dump(mode="json"), indent=2, ensure_ascii=False)

    def story(self, study: str) -> Any:
        """Return the words about a study: what is claimed, the protocol, what is not shown."""
        names = [f"stories/{study}.html", "stories/default.html"]
        return self.environment.select_template(names).make_module({})

    # Output

    def render(self) -> dict[str, str]:
        """Return the pages by the name of their file."""
        contents: dict[str, Callable[[], str]] = {FIRST: lambda: self._fill("front.html")}
        for page in self.studies:
            contents[page.name] = lambda page=page: self._fill("study.html", page=page)
        for name in ("scores", "cost", "provenance"):
            contents[name] = lambda name=name: self._fill(f"{name}.html")
        filled = {key: Markup(contents[key]()) for key in self.pages}  # noqa: S704 - own templates
        style, script = (
            Markup((HERE / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 - own files
            for name in ("style.css", "report.js")
        )
        frame = self.environment.get_template("page.html")
        if self.single:
            return {
                f"{FIRST}.html": frame.render(
                    current=FIRST, contents=filled, style=style, script=script
                )
            }
        return {
            f"{key}.html": frame.render(current=key, contents={key: text}, style="", script="")
            for key, text in filled.items()
        }

    def _fill(self, template: str, **values: Any) -> str:
        return self.environment.get_template(template).render(values)


def build(items: Sequence[Item], config: Mapping[str, Any], output: Path) -> None:
    """Write the report.

    Parameters
    ----------
    items
        What rules have marked for it; paths start at the working folder.
    config
        The merged configuration, as Snakemake has it.
    output
        A .zip, to be unpacked, or a single .html that holds everything.

    Raises
    ------
    InputError
        If the output is neither, or nothing is there to be shown.
    """
    if output.suffix not in (".zip", ".html"):
        raise InputError(f"{output}: a report is a .zip or a .html; give it one of these endings.")
    if not any(map(study_of, items)):
        raise InputError("nothing to report: no result of the targets is marked for the report.")
    site = Site(items, load(config), single=output.suffix == ".html")
    pages = site.render()
    with writing(output) as temporary:
        if site.single:
            temporary.write_text(pages[f"{FIRST}.html"], encoding="utf-8")
            return
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in pages.items():
                _add(archive, name, text.encode())
            for name in ("style.css", "report.js"):
                _add(archive, name, (HERE / "assets" / name).read_bytes())
            for address, path in sorted(site.files.items()):
                _add(archive, address, path.read_bytes())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file with a fixed date, so that the same results make the same report."""
    about = zipfile.ZipInfo(f"report/{name}", _EPOCH)
    about.compress_type = zipfile.ZIP_DEFLATED
    about.external_attr = 0o644 << 16
    archive.writestr(about, content)
