"""What a run costs: expected, from measurements at smaller sizes, or as its own files tell.

``python -m casestudies.costs --configfile config/full.yaml`` plans the run and prints, for each
step, jobs, core-hours, memory and disk. Expected values come from ``benchmarks/costs.csv``, where
``benchmarks/measure_costs.py`` has put what steps took at several sizes (casestudies.costs.scaling,
casestudies.costs.laws).

``python -m casestudies.costs --logs logs`` prints what a run has used. A rule's ``benchmark:``
leaves ``logs/….tsv`` beside its log. Snakemake samples memory and processor time twice a second for
the first half minute of a job, then twice a minute: a short peak late in a long job can be missed,
and the last samples of processor time as well.
"""

import csv
import math
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casestudies.config import Config, load
from casestudies.costs.laws import MEASURED, Estimate, Law, read_laws
from casestudies.costs.scaling import Command, Part, parts, rule_of
from casestudies.costs.usage import by_step, read_usage
from casestudies.errors import InputError
from casestudies.files import writing
from casestudies.steps import main


@dataclass(frozen=True)
class Row:
    """What the jobs of a rule are expected to take.

    Parameters
    ----------
    gpu
        Whether the rule can use a GPU.
    hours
        Processor time of all jobs (h); None, as the rest, if a part of it was never measured.
    longest
        Of the job that takes longest (h).
    memory
        Most that a job has resident (GB).
    disk
        Written by all jobs (GB).
    beyond
        How many times the work of the largest job is that of the largest one measured; at least 1.
    """

    rule: str
    jobs: int
    gpu: bool
    hours: Estimate | None = None
    longest: Estimate | None = None
    memory: Estimate | None = None
    disk: Estimate | None = None
    beyond: float = 1.0


def plan(configfiles: Sequence[Path]) -> tuple[list[Command], Config]:
    """Return the commands of all jobs of a run, done or not, and its configuration.

    Raises
    ------
    InputError
        If a configuration file is not there, or the workflow cannot be planned.
    """
    import yaml

    for path in configfiles:
        if not path.is_file():
            raise InputError(f"{path}: no such configuration file; name one, as for Snakemake")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--printshellcmds"]
    if configfiles:
        command += ["--configfile", *map(str, configfiles)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"the workflow cannot be planned:\n{done.stdout}{done.stderr}".rstrip())
    lines = [line for line in done.stdout.splitlines() if line.startswith("Shell command: ")]
    values: dict[str, Any] = {}
    for path in (Path("config/config.yaml"), *configfiles):
        values = _merged(values, yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
    return [Command.parse(line) for line in lines if not line.endswith(": None")], load(values)


def _merged(values: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others put over them, as Snakemake does: lists are replaced."""
    merged = dict(values)
    for key, value in other.items():
        known = merged.get(key)
        nested = isinstance(known, dict) and isinstance(value, Mapping)
        merged[key] = _merged(known, value) if nested else value
    return merged


def expect(
    commands: Sequence[Command], config: Config, laws: Mapping[str, Mapping[str, Law]]
) -> list[Row]:
    """Return a row for each rule, the dearest first; those never measured come last."""
    jobs: dict[str, list[Row]] = {}
    for command in commands:
        rule, gpu = rule_of(command, config), "device" in command.options
        jobs.setdefault(rule, []).append(_job(rule, gpu, parts(command, config), laws))
    rows = []
    for rule, ones in jobs.items():
        known = [one for one in ones if one.hours is not None]
        if len(known) < len(ones):
            rows.append(replace(ones[0], jobs=len(ones), hours=None))
            continue
        rows.append(
            Row(
                rule,
                len(ones),
                ones[0].gpu,
                _total([one.hours for one in ones]),
                max((one.longest for one in ones), key=lambda one: one.value),
                max((one.memory for one in ones), key=lambda one: one.value),
                _total([one.disk for one in ones]),
                max(one.beyond for one in ones),
            )
        )
    return sorted(rows, key=lambda row: (-row.hours.value if row.hours else 0.0, row.rule))


def _job(rule: str, gpu: bool, work: Sequence[Part], laws: Mapping[str, Mapping[str, Law]]) -> Row:
    if any(part not in laws for part, _ in work):
        return Row(rule, 1, gpu)
    found = {name: [laws[part][name](sizes) for part, sizes in work] for name in MEASURED}
    hours = _scaled(_total(found["cpu_seconds"]), 1 / 3600)
    memory = _scaled(max(found["peak_mb"], key=lambda one: one.value), 1e-3)
    disk = _scaled(_total(found["written_mb"]), 1e-3)
    beyond = max(laws[part]["cpu_seconds"].beyond(sizes) for part, sizes in work)
    return Row(rule, 1, gpu, hours, hours, memory, disk, beyond)


def _total(found: Sequence[Estimate]) -> Estimate:
    """Return the sum; the errors of one law are shared, so that the ends add up as well."""
    return Estimate(
        sum(one.value for one in found),
        sum(one.lower for one in found),
        sum(one.upper for one in found),
    )


def _scaled(one: Estimate, by: float) -> Estimate:
    return Estimate(one.value * by, one.lower * by, one.upper * by)


def _number(value: float) -> str:
    """Return two significant digits without an exponent."""
    if value < 0.01:
        return "< 0.01"
    rounded = float(f"{value:.2g}")
    return f"{rounded:.{max(0, 1 - math.floor(math.log10(rounded)))}f}"


def _shown(one: Estimate) -> str:
    value, lower, upper = map(_number, (one.value, one.lower, one.upper))
    return value if lower == upper else f"{value} [{lower}, {upper}]"


def as_markdown(rows: Sequence[Row], least: float = 0.05) -> str:
    """Return the table; rules of less than ``least`` core-hours are one line together."""
    lines = [
        "| rule | jobs | core-hours | longest job, h | memory, GB | disk, GB | × measured "
        "| GPU-hours |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    known = [row for row in rows if row.hours is not None]
    small = [row for row in known if row.hours.value < least]
    lines += [_line(f"`{row.rule}`", [row]) for row in known if row not in small]
    if small:
        lines.append(_line(f"{len(small)} other rules", small))
    if known:
        lines.append(_line("all", known))
    lines += [
        f"| `{row.rule}` | {row.jobs} | {' | '.join(['not measured'] * 6)} |"
        for row in rows
        if row not in known
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, rows: Sequence[Row]) -> str:
    cells = [
        name,
        str(sum(row.jobs for row in rows)),
        _shown(_total([row.hours for row in rows])),
        _shown(max((row.longest for row in rows), key=lambda one: one.value)),
        _shown(max((row.memory for row in rows), key=lambda one: one.value)),
        _shown(_total([row.disk for row in rows])),
        _number(max(row.beyond for row in rows)),
        "not measured" if any(row.gpu for row in rows) else "none",
    ]
    return "| " + " | ".join(cells) + " |"


def resources(rows: Sequence[Row], hours: float = 1.0, gigabytes: float = 2.0) -> list[str]:
    """Return what to ask a scheduler for where a job is long or large: twice the expected."""
    wanted = []
    for row in sorted(rows, key=lambda row: row.rule):
        if row.hours is None:
            continue
        if row.longest.value > hours:
            wanted.append(f"{row.rule}:runtime={math.ceil(120 * row.longest.value / 60) * 60}")
        if row.memory.value > gigabytes:
            wanted.append(f"{row.rule}:mem_mb={math.ceil(2 * row.memory.value) * 1000}")
    return wanted


def _laws_as_markdown(laws: Mapping[str, Mapping[str, Law]], used: Collection[str]) -> str:
    """Return the fitted laws of the parts that are used, those with a size that was varied."""
    lines = [
        "| work | measured | grows with | processor time ~ | memory ~ |",
        "|---|---:|---|---|---|",
    ]
    for part in sorted(used):
        law = laws[part]["cpu_seconds"]
        if not law.names:
            continue
        ranges = (
            f"{name} ({low:.3g} to {high:.3g})"
            for name, (low, high) in zip(law.names, law.measured, strict=True)
        )
        powers = (_powers(laws[part][name]) for name in ("cpu_seconds", "peak_mb"))
        cells = [f"{part}", f"{law.measurements} ×", ", ".join(ranges), *powers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _powers(law: Law) -> str:
    exponents = zip(law.names, law.exponents, strict=True)
    return " · ".join(f"{name}^{exponent:.2f}" for name, exponent in exponents)


_PAGE = """# What a large run takes

<!-- Written by `{command} --page {page}`; a test keeps it in step. -->

[config/full.yaml](../config/full.yaml) is the whole campaign: a simulated year of hourly images of
2000 × 2000 pixels and four channels (8760 images), 600 random fields and up to 160 tiles of real
terrain against RANS by OpenFOAM, and all published data sets of all studies. `snakemake -n
--configfile {configfile}` plans it in seconds: {jobs} jobs, of which {fetched} are downloads. Flows
are solved {per_job} a job (`wind: flows_per_job`); a killed job keeps those that it has solved.

```sh
{command}
```

prints what the jobs are expected to take. `--logs logs` prints what a run has taken.

{table}
Core-hours are processor time of jobs of one thread, with 90 % intervals in brackets: they tell what
the measurements do not settle (a factor of ten either way where a step was measured at too few
sizes to tell). Another processor, or a busy machine, takes another time. "× measured" says how far
the work of the largest job lies beyond the largest measurement; where it is large, trust the order
of magnitude. Disk is that of raw data, images and flows; tables of predictions, megabytes each,
count as in the small runs. GPU-hours were not measured: no GPU was at hand, and none are guessed
here. Rules that say so can use a GPU, with `training: {{device: cuda, gpu: 1}}`.

The rules ask a scheduler for what the default and the published data need. For this run, ask for
twice what is expected:

```sh
snakemake --workflow-profile profiles/slurm --configfile {configfile} \\
    --set-resources {resources}
```

Memory does not grow with the number of images: those that do not fit a bound are read again
(`casestudies.satellite.loader`). `python benchmarks/satellite_training.py --threads 1 --seconds 0.5
--memory-mb 100 --series-of 500x25 500x100 500x300` keeps 50 of such images in memory; the fits to
25, 100 and 300 of them had at most 0.99, 1.21 and 1.21 GB resident.

## How it was measured

`python benchmarks/measure_costs.py` runs the workflow on small data of several sizes, one job at a
time, and writes processor time, memory and bytes of every step to
[benchmarks/costs.csv](../benchmarks/costs.csv): {measurements} steps on {processors}, while other
programs kept the second core busy. What is a plain repetition (fits, frames, flows) multiplies; how
cost grows with a size is fitted as a constant and a power (`casestudies.costs.laws`):

{laws}"""


def costs(
    *,
    configfile: list[Path] | None = None,
    measurements: Path = Path("benchmarks/costs.csv"),
    logs: Path | None = None,
    page: Path | None = None,
) -> None:
    """Print what a run costs, rule by rule; call it in the checkout, as Snakemake is.

    Parameters
    ----------
    configfile
        Configuration files of the run, as for Snakemake.
    measurements
        What steps took at several sizes (CSV).
    logs
        Folder of logs: print what the jobs of each step have used instead.
    page
        Write the table with an account of it to this file (Markdown).
    """
    if logs is not None:
        print(
            "| step | jobs | core-hours | longest job, h | memory, GB |\n|---|---:|---:|---:|---:|"
        )
        for step, used in by_step(read_usage(logs)).items():
            memory = "–" if used.max_rss is None else _number(used.max_rss / 1000)
            hours = (_number(value / 3600) for value in (used.cpu_seconds, used.seconds))
            print(f"| `{step}` | {used.jobs} |", " | ".join([*hours, memory]), "|")
        return
    laws = read_laws(measurements)
    commands, config = plan(configfile or [])
    rows = expect(commands, config, laws)
    table = as_markdown(rows)
    if page is None:
        print(table, end="")
        return
    files = " ".join(map(str, configfile or []))
    with measurements.open(newline="", encoding="utf-8") as stream:
        measured = list(csv.DictReader(stream))
    used = {part for command in commands for part, _ in parts(command, config)} & laws.keys()
    text = _PAGE.format(
        command=f"python -m casestudies.costs --configfile {files}",
        configfile=files,
        page=page,
        table=table,
        jobs=len(commands),
        fetched=sum(row.jobs for row in rows if row.rule == "fetch"),
        per_job=config.wind.flows_per_job,
        resources=" ".join(resources(rows)),
        measurements=len(measured),
        processors="; ".join(sorted({row["processor"] for row in measured})),
        laws=_laws_as_markdown(laws, used),
    )
    with writing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(costs)
