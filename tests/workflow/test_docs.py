"""The pages for newcomers, followed to the letter on tiny data."""

import importlib
import inspect
import re
import shlex
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from tests.conftest import ROOT

pytestmark = pytest.mark.workflow
YOUR_DATA = (ROOT / "docs/your-data.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def _glaciers(folder):
    years, names = range(2000, 2003), ["a", "b"]
    fixed = {"massif": "m", "longitude": 6.0, "latitude": 45.0, "aspect": 10, "slope20": 20}
    fixed |= {"max_altitude": 3500, "mean_altitude": 3000, "area": 1.5}
    pd.DataFrame({"glacier": names, "name": names, **fixed}).to_csv(folder / "glaciers.csv")
    index = pd.MultiIndex.from_product([names, years], names=["glacier", "year"])
    pd.DataFrame({"mass_balance": -0.5}, index).to_csv(folder / "mass_balance.csv")
    index = pd.MultiIndex.from_product(
        [names, years, range(1, 13)], names=["glacier", "year", "month"]
    )
    climate = {"temperature": 1.0, "snow": 30.0, "cpdd": 30.0}
    pd.DataFrame(climate, index).to_csv(folder / "climate.csv")


def _metagenomes(folder):
    samples = [f"s{number}" for number in range(8)]
    values = np.random.default_rng(2).gamma(0.5, 10, (3, len(samples)))
    taxa = pd.Index([f"k__Bacteria|s__{name}" for name in "abc"], name="clade_name")
    pd.DataFrame(values, taxa, samples).to_csv(folder / "abundance.tsv", sep="\t")
    labels = {"sample_id": samples, "diagnosis": ["IBD", "healthy"] * 4}
    pd.DataFrame(labels).to_csv(folder / "metadata.csv", index=False)


def _images(folder):
    (folder / "images").mkdir()
    (folder / "soundings").mkdir()
    times = pd.date_range("2021-03-01", periods=60, freq="12h")
    values = 280 + np.random.default_rng(3).normal(size=(len(times), 8, 8))
    xr.Dataset(
        {"temperature": (("time", "lat", "lon"), values, {"units": "K"})},
        {
            "time": times,
            "lat": ("lat", 40 + np.arange(8.0), {"units": "degrees_north"}),
            "lon": ("lon", -4 + np.arange(8.0), {"units": "degrees_east"}),
        },
    ).to_netcdf(folder / "images/march.nc", engine="h5netcdf")
    labels = pd.DataFrame({"time": times[::2], "value": np.linspace(20, 30, 30)})
    labels.to_csv(folder / "soundings/labels.csv", index=False)


def _terrain(folder):
    x, y = np.meshgrid(np.arange(150) * 60.0, np.arange(150) * 60.0)
    hills = 100 * np.sin(x / 900) * np.sin(y / 700)
    place = rasterio.transform.from_origin(500_000, 5_006_000, 60, 60)
    options = {"width": 150, "height": 150, "count": 1, "dtype": "float32", "crs": "EPSG:32632"}
    with rasterio.open(folder / "hills.tif", "w", driver="GTiff", transform=place, **options) as f:
        f.write(hills.astype("float32"), 1)


def _car(folder):
    frame = pd.DataFrame({"speed": np.arange(20.0, 120, 5), "consumption": 6.0})
    frame.to_csv(folder / "measurements.csv", index=False)


FILES = {
    "my-glaciers": _glaciers,
    "my-metagenomes": _metagenomes,
    "my-images": _images,
    "my-terrain": _terrain,
    "my-car": _car,
}


def test_data_of_ones_own_as_the_page_says(checkout):
    for name, write in FILES.items():
        (checkout.folder / name).mkdir()
        write(checkout.folder / name)
    configurations = {}
    for block in blocks(YOUR_DATA, "yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        (checkout.folder / name).write_text(block)
        configurations[name] = block
    commands = [line for block in blocks(YOUR_DATA, "sh") for line in block.splitlines()]
    runs = [shlex.split(line) for line in commands if line.startswith("snakemake ")]
    assert [run[-1] for run in runs] == list(configurations)
    for _, study, *options in runs:
        done = checkout.snakemake(study, *options, "-n", "--quiet", "host")
        jobs = re.findall(r"^(\w+) +\d+$", done.stdout + done.stderr, re.MULTILINE)
        assert done.returncode == 0, done.stderr
        assert {f"prepare_{study}", "split", "score"} <= set(jobs)
        assert not {name for name in jobs if name.startswith(("simulate", "fetch"))}, jobs
    tables = [f"results/{study}/mine/prepared.parquet" for _, study, *_ in runs]
    done = checkout.snakemake(*tables, "--configfile", *configurations)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for table in tables:
        assert len(pd.read_parquet(checkout.folder / table)) >= 4, table


def test_models_for_new_data_have_the_options_that_the_page_gives():
    commands = [line for block in blocks(YOUR_DATA, "sh") for line in block.splitlines()]
    predictions = [shlex.split(line) for line in commands if line.startswith("python ")]
    assert len(predictions) == 3
    for _, _, module, *options in predictions:
        predict = importlib.import_module(module).predict
        names = {option[2:].replace("-", "_") for option in options if option.startswith("--")}
        parameters = inspect.signature(predict).parameters
        needed = {name for name, one in parameters.items() if one.default is one.empty}
        assert needed <= names <= set(parameters), module


def write_blocks(page: str, checkout) -> None:
    """Make the files and the edits of a page in a checkout: what a reader would do by hand."""
    for language, comment in (("python", "# "), ("rst", ".. ")):
        for block in blocks(page, language):
            first, _, text = block.partition("\n")
            path = checkout.folder / first.removeprefix(comment)
            assert first.startswith(comment) and not path.exists(), first
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for block in blocks(page, "diff"):
        command = ["git", "apply", "--unidiff-zero", "--recount", "-"]
        subprocess.run(command, cwd=checkout.folder, input=block, text=True, check=True)


def test_a_study_added_as_the_page_says(checkout):
    page = (ROOT / "docs/add-a-study.md").read_text()
    write_blocks(page, checkout)
    files = [str(checkout.folder / "workflow/casestudies/tree")]
    for style in (["ruff", "check", *files], ["ruff", "format", "--check", *files]):
        subprocess.run([sys.executable, "-m", *style], cwd=ROOT, check=True)
    rules = str(checkout.folder / "workflow/rules/tree.smk")
    subprocess.run([sys.executable, "-m", "snakefmt", "--check", rules], cwd=ROOT, check=True)
    for line in (line for block in blocks(page, "sh") for line in block.splitlines()):
        command = shlex.split(line)
        if command[0] == "snakemake":
            done = checkout.snakemake(*command[1:])
            listed = checkout.snakemake("--list-target-rules")
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        else:
            command[0] = sys.executable
            subprocess.run(command, cwd=checkout.folder, env=checkout.environment, check=True)
    folder = checkout.folder / "results/tree/simulated"
    scores = pd.read_csv(folder / "scores.csv")
    assert set(scores["model"]) == {"mean", "linear", "power_law"}
    finding = (folder / "finding.txt").read_text()
    assert finding[:60] in done.stdout + done.stderr  # in the terminal, at the end
    assert "RMSE" in finding and (folder / "figures/scores.svg").is_file()
    assert "tree (The tree study:" in listed.stdout + listed.stderr
    with zipfile.ZipFile(checkout.folder / "results/report.zip") as archive:
        names = archive.namelist()
        pages = [archive.read(name).decode() for name in names if name.endswith(".html")]
    assert any(name.endswith("scores.svg") for name in names)
    assert any("<td>straight line</td>" in page for page in pages)
    assert "tree:" in (checkout.folder / "config/config.yaml").read_text()
