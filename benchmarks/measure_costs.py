"""Measure what steps cost at several sizes: writes ``costs.csv`` beside this file.

Run ``python benchmarks/measure_costs.py`` (73 minutes on one core; OpenFOAM must be installed;
``--only NAME …`` for some of the runs, ``--list`` names them). Each run is the workflow itself on
small data, one job at a time, in a temporary copy of the checkout. Every step is started by this
program, which asks the kernel for the processor time and the largest resident memory of the step
and of the programs that it has run, and counts the bytes that it has written below data/ and
results/. A row is kept for each step whose work is of one kind (casestudies.costs.scaling); the
rows of a run replace those that an earlier run of the same name has left.

Runs called ``published`` need the published files: from a network, or CASESTUDIES_MIRROR.
"""

import argparse
import csv
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("costs.csv")
COLUMNS = (
    "run",
    "part",
    "sizes",
    "cpu_seconds",
    "seconds",
    "peak_mb",
    "written_mb",
    "date",
    "processor",
)


def _glacier(glaciers: int, first: int, epochs: int, steps: int) -> dict[str, Any]:
    few = {"known_year_epochs": epochs, "new_year_epochs": epochs}
    return {
        "glacier": {
            "simulation": {"glaciers": glaciers, "first_year": first, "last_year": 2009},
            "schemes": {
                "loyo": {"test_from": 2008},
                "lsygo": {"parts": [2, 2], "test_from": 1990},
                "forward": {"cuts": [2004]},
            },
            "paper_network": few,
            "paper_protocol": few,
            "deep_ensemble": {"steps": steps},
        }
    }


def _mwas(cohorts: int, samples: int, taxa: int, permutations: int) -> dict[str, Any]:
    return {
        "mwas": {
            "simulation": {
                "cohorts": cohorts,
                "samples": samples,
                "taxa": taxa,
                "associated": 10,
                "confounded": 5,
            },
            "schemes": {"cv": {"folds": 5, "inner_folds": 5}, "lodo": {"inner_folds": 5}},
            "permutations": permutations,
        }
    }


def _satellite(
    pixels: int,
    days: int,
    hours: tuple[int, int],
    encoders: list[str],
    steps: int,
    batch: int = 32,
) -> dict[str, Any]:
    network = {"steps": max(1, steps), "batch": batch}
    closed = "pca" in encoders
    return {
        "satellite": {
            "simulation": {"pixels": pixels, "days": days, "hours": list(hours)},
            "schemes": {
                "blocked": {"blocks": 2, "gap": 2, "inner_folds": 2},
                "random": {"folds": 2, "inner_folds": 2},
            },
            "encoders": encoders,
            "latent_sizes": [4, 8],
            "autoencoder": network,
            "temporal_autoencoder": network,
            "cnn": {"steps": 10 if closed else max(10, steps // 2), "batch": min(batch, 16)},
            "label_curves": {"labels": [8, 12] if days < 60 else [12, 25], "draws": 1},
            **({} if closed else {"baselines": ["mean", "season"]}),
        }
    }


def _wind(dataset: str, terrains: int, cells: int, levels: int, epochs: int) -> dict[str, Any]:
    network = {"epochs": epochs}
    return {
        "wind": {
            "datasets": [dataset],
            "simulation": {
                "terrains": terrains,
                "slope": [0.05, 0.15],
                "correlation_length": [300, 600],
            },
            "tile": {"cells": cells, "spacing": 60},
            "mass_consistent": {"levels": max(8, levels)},
            "openfoam": {"levels": max(10, levels)},
            "schemes": {"terrain": {"folds": 2, "inner_folds": 2}},
            "networks": ["unet", "fno_corrected"],
            "unet": network,
            "fno": network,
            "training_sizes": [6],
            "cost_terrains": 2,
            "flows_per_job": 2,
        },
    }


_CLOSED = ["pca", "slow_features", "random_features"]
_TRAINED = ["autoencoder", "temporal_autoencoder"]
_NOON = (12, 12)
_DAY = (8, 16)
_READ = "results/{}/{}/prepared.parquet"
_FLOWS = ["results/wind/simulated-rans/prepared.parquet"]
_FITS = [
    "results/satellite/simulated/predictions/blocked/pca.parquet",
    "results/satellite/simulated/predictions/random/raw_pixels.parquet",
    "results/satellite/simulated/curves/pca.parquet",
    "results/satellite/simulated/overfitting.parquet",
]
_NETWORKS = [
    "results/satellite/simulated/encoders/blocked/autoencoder.safetensors",
    "results/satellite/simulated/encoders/all_images/autoencoder.safetensors",
    "results/satellite/simulated/predictions/blocked/cnn.parquet",
    "results/satellite/simulated/curves/cnn.parquet",
]
RUNS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "all-small": (
        ["glacier", "mwas", "satellite", "wind", "results/provenance.json"],
        {
            **_glacier(6, 1985, 10, 40),
            **_mwas(3, 30, 80, 3),
            **_satellite(32, 60, _DAY, _CLOSED, 0),
            **_wind("simulated", 16, 16, 8, 8),
        },
    ),
    "closed-96": (["satellite"], _satellite(96, 120, _NOON, _CLOSED, 0)),
    "closed-192": (_FITS, _satellite(192, 60, _DAY, _CLOSED, 0)),
    "closed-500": (["satellite"], _satellite(500, 80, _NOON, _CLOSED, 0, 4)),
    "closed-2000": (["satellite"], _satellite(2000, 40, _NOON, _CLOSED, 0, 1)),
    "trained-32": (_NETWORKS, _satellite(32, 60, _DAY, _TRAINED, 100)),
    "trained-48": (_NETWORKS, _satellite(48, 120, _NOON, _TRAINED, 40)),
    "trained-96": (_NETWORKS, _satellite(96, 60, _DAY, _TRAINED, 40)),
    "trained-250": (_NETWORKS, _satellite(250, 40, _NOON, _TRAINED, 20, 8)),
    "trained-2000": (_NETWORKS[:2], _satellite(2000, 40, _NOON, _TRAINED, 6, 1)),
    "rans-16": (_FLOWS, _wind("simulated-rans", 6, 16, 10, 2)),
    "rans-24": (_FLOWS, _wind("simulated-rans", 8, 24, 20, 2)),
    "rans-32": (_FLOWS, _wind("simulated-rans", 7, 32, 14, 2)),
    "rans-64": (_FLOWS, _wind("simulated-rans", 6, 64, 20, 2)),
    "wind-24": (["wind"], _wind("simulated", 40, 24, 12, 4)),
    "wind-32": (["wind"], _wind("simulated", 24, 32, 16, 6)),
    "wind-48": (["wind"], _wind("simulated", 60, 48, 16, 3)),
    "mwas-90x250": (["mwas"], _mwas(3, 30, 250, 5)),
    "mwas-200x150": (["mwas"], _mwas(4, 50, 150, 3)),
    "mwas-280x400": (["mwas"], _mwas(4, 70, 400, 4)),
    "glacier-10": (["glacier"], _glacier(10, 1975, 20, 80)),
    "glacier-16": (["glacier"], _glacier(16, 1985, 10, 40)),
    "lecture": (["lecture"], {}),
    "published": (
        [
            "results/glacier/alpgm/audit.csv",
            "results/wind/massifs/terrains.nc",
            _READ.format("mwas", "crc-cohorts"),
            _READ.format("mwas", "pasolli2016-t2d"),
            _READ.format("satellite", "mauna-loa-ozone"),
            _READ.format("satellite", "melbourne-total-ozone"),
            _READ.format("satellite", "edmonton-air-temperature"),
        ],
        yaml.safe_load((ROOT / "config/published.yaml").read_text()),
    ),
    "published-askervein": (
        ["results/wind/askervein/figures/transects.svg"],
        {
            "wind": {
                **_wind("simulated", 16, 16, 8, 2)["wind"],
                "askervein": ["linear", "mass_consistent", "openfoam"],
            }
        },
    ),
}


def shim(arguments: list[str]) -> int:
    """Run a step as Python would, and put on record what it took."""
    began, start = time.time(), time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments])
    _, status, used = os.wait4(process.pid, 0)
    record = {
        "arguments": arguments,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "written_mb": sum(_written(began)) / 1e6,
    }
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        with Path(os.environ["CASESTUDIES_RECORD"]).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
    return code


def _written(since: float) -> Iterator[int]:
    """Yield the sizes of the files below data/ and results/ that are newer."""
    for folder in ("data", "results"):
        for place, _, names in os.walk(folder):
            for name in names:
                found = (Path(place) / name).stat()
                if found.st_mtime >= since:
                    yield found.st_size


def measure(name: str) -> list[dict[str, Any]]:
    """Make one run and return its rows."""
    targets, overlay = RUNS[name]
    with tempfile.TemporaryDirectory(prefix="costs-") as temporary:
        folder = Path(temporary)
        for part in ("Snakefile", "workflow", "config", "profiles", "envs"):
            source = ROOT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)
        (folder / "run.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        script = folder / "bin/python"
        script.parent.mkdir()
        script.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" --shim "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        record = folder / "record.jsonl"
        environment = {
            **os.environ,
            "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "workflow"),
            "CASESTUDIES_RECORD": str(record),
        }
        command = [sys.executable, "-m", "snakemake", *targets, "--cores", "1"]
        command += ["--configfile", "run.yaml", "--quiet", "rules", "progress"]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=sys.stderr)
        return rows_of(name, record)


def rows_of(name: str, record: Path) -> list[dict[str, Any]]:
    """Return the rows of a run from what its steps have put on record."""
    from snakemake.utils import update_config

    from casestudies.config import load
    from casestudies.costs.scaling import Command, parts

    values = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    update_config(values, RUNS[name][1])
    config = load(values, ROOT)
    rows = []
    for found in map(json.loads, record.read_text(encoding="utf-8").splitlines()):
        _, module, *arguments = found["arguments"]
        work = parts(Command.of(module.removeprefix("casestudies."), arguments), config)
        if len(work) != 1:
            continue
        (part, sizes) = work[0]
        rows.append(
            {
                "run": name,
                "part": part,
                "sizes": "; ".join(f"{key} = {value:.6g}" for key, value in sizes.items()),
                **{
                    key: f"{found[key]:.4g}"
                    for key in ("cpu_seconds", "seconds", "peak_mb", "written_mb")
                },
                "date": datetime.date.today().isoformat(),
                "processor": processor(),
            }
        )
    return rows


def processor() -> str:
    """Return the name of the processor, and the number of its cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'}, {os.cpu_count()} cores"


def write(rows: list[dict[str, Any]], replaced: str) -> None:
    """Put the rows of a run into the table, in the order of RUNS."""
    kept = []
    if TABLE.is_file():
        with TABLE.open(newline="", encoding="utf-8") as stream:
            kept = [row for row in csv.DictReader(stream) if row["run"] != replaced]
    order = list(RUNS)
    kept = [row for row in [*kept, *rows] if row["run"] in order]
    kept.sort(key=lambda row: (order.index(row["run"]), row["part"], row["sizes"]))
    with TABLE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def main() -> None:
    """Make the runs, one after the other; the table is written after each."""
    if sys.argv[1:2] == ["--shim"]:
        sys.exit(shim(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name the runs, and end")
    options = parser.parse_args()
    if options.list:
        print(*RUNS, sep="\n")
        return
    for name in options.only:
        start = time.perf_counter()
        rows = measure(name)
        write(rows, name)
        print(f"{name}: {len(rows)} steps in {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
