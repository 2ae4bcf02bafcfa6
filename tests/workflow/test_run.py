"""The real plan on small data: what a run leaves, what is run again, permuted labels."""

import html
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import rasterio

from casestudies.lecture import EXPERIMENT_FIGURES
from casestudies.lecture import FIGURES as LECTURE_FIGURES
from casestudies.mwas import FIGURES
from casestudies.satellite import FIGURES as SATELLITE_FIGURES
from casestudies.wind import FIGURES as WIND_FIGURES

pytestmark = pytest.mark.workflow
RESULTS = "results/glacier/simulated"


def table(checkout, name: str) -> pd.DataFrame:
    path = checkout.folder / RESULTS / name
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def page_of_report(checkout, name: str) -> str:
    """Return a page of the report as text, blanks evened out."""
    with zipfile.ZipFile(checkout.folder / "results/report.zip") as archive:
        text = archive.read(f"report/{name}.html").decode()
    return " ".join(html.unescape(text).split())


def test_the_report_holds_every_figure_and_the_finding(finished):
    with zipfile.ZipFile(finished.folder / "results/report.zip") as archive:
        names = archive.namelist()
    figures = sorted(path.name for path in (finished.folder / RESULTS / "figures").iterdir())
    assert len(figures) == 11
    for figure in figures:
        assert f"report/files/glacier/simulated/figures/{figure}" in names, figure
    headline, *lines = (finished.folder / RESULTS / "finding.txt").read_text().splitlines()
    assert len(lines) == 4 and all("RMSE" in line for line in lines)
    front = page_of_report(finished, "report")
    assert headline in front
    for study in ("mwas", "satellite/simulated", "wind/simulated", "lecture"):
        headline, *lines = (
            (finished.folder / f"results/{study}/finding.txt").read_text().splitlines()
        )
        assert headline in front, study
        page = page_of_report(finished, study.split("/")[0])
        assert all(line in page for line in lines), study


def test_a_report_in_one_file_of_one_study_where_nothing_is_to_be_done(rerun):
    (rerun.folder / "results/report.zip").unlink()
    printed = rerun.run("glacier", "report_html")
    assert "rule train_glacier" not in printed
    text = (rerun.folder / "results/report.html").read_text()
    assert 'id="glacier"' in text and "data:image/svg+xml," in text
    with zipfile.ZipFile(rerun.folder / "results/report.zip") as archive:
        names = archive.namelist()
    assert "report/glacier.html" in names and "report/wind.html" not in names


def test_snakemakes_own_report_has_the_same_captions(finished, tmp_path):
    finished.run("--report", str(tmp_path / "report.zip"), "--nolock")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        text = archive.read("report/report.html").decode()
    plain = " ".join(text.replace("\\n", " ").split())
    headline = (finished.folder / RESULTS / "finding.txt").read_text().splitlines()[0]
    assert headline in plain and "Root mean square error of every model" in plain


def test_the_second_study_ends_in_figures_a_finding_and_a_model_for_new_samples(finished, tmp_path):
    folder = finished.folder / "results/mwas"
    drawn = {path.stem for path in (folder / "simulated/figures").iterdir()}
    assert drawn == set(FIGURES)
    text = (folder / "finding.txt").read_text()
    assert "AUC" in text and "Stability selection names" in text and "permutations" in text
    output = tmp_path / "probabilities.csv"
    command = [sys.executable, "-m", "casestudies.mwas.predict", "--output", str(output)]
    command += ["--model", str(folder / "simulated/model.json")]
    command += ["--samples", str(finished.folder / "data/raw/simulated/mwas/abundance.tsv")]
    subprocess.run(command, env=finished.environment, check=True, capture_output=True)
    found = pd.read_csv(output).set_index("sample")["probability"]
    known = pd.read_parquet(folder / "simulated/prepared.parquet").set_index("sample")["disease"]
    assert found.between(0, 1).all() and len(found) >= len(known)
    assert found[known.index][known == 1].mean() > found[known.index][known == 0].mean() + 0.05


def test_the_third_study_ends_in_figures_a_finding_and_a_model_for_new_images(finished, tmp_path):
    folder = finished.folder / "results/satellite"
    drawn = {path.stem for path in (folder / "simulated/figures").iterdir()}
    assert drawn == set(SATELLITE_FIGURES) and (folder / "figures/skill.svg").is_file()
    assert "labels" in (folder / "simulated/finding.txt").read_text().splitlines()[0]
    scores = pd.read_csv(folder / "simulated/scores.csv")
    assert {"latent", "latent_all_images", "cnn", "oracle"} <= set(scores["model"])
    output = tmp_path / "predictions.csv"
    command = [sys.executable, "-m", "casestudies.satellite.predict", "--output", str(output)]
    command += ["--model", str(folder / "simulated/model")]
    command += ["--images", str(folder / "simulated/images.zarr")]
    subprocess.run(command, env=finished.environment, check=True, capture_output=True)
    found = pd.read_csv(output)
    assert len(found) == 60 * 9 and (found["lower"] < found["upper"]).all()


def test_the_fourth_study_ends_in_figures_a_finding_and_a_model_for_new_terrain(finished, tmp_path):
    folder = finished.folder / "results/wind/simulated"
    assert {path.stem for path in (folder / "figures").iterdir()} == set(WIND_FIGURES)
    text = (folder / "finding.txt").read_text()
    assert "% of the inflow" in text.splitlines()[0] and "processor time" in text
    costs = pd.read_csv(folder / "costs.csv").set_index("kind")
    assert (costs["seconds"] > 0).all() and costs.loc["reference", "rmse"] == 0
    dem, output = tmp_path / "hill.tif", tmp_path / "wind.tif"
    x, y = np.meshgrid(np.arange(60) * 100.0, np.arange(60) * 100.0)
    hill = 100 * np.exp(-((x - 3000) ** 2 + (y - 3000) ** 2) / 500**2)
    place = rasterio.transform.from_origin(500_000, 5_006_000, 100, 100)
    options = {"width": 60, "height": 60, "count": 1, "dtype": "float32", "crs": "EPSG:32632"}
    with rasterio.open(dem, "w", driver="GTiff", transform=place, **options) as file:
        file.write(hill.astype("float32"), 1)
    command = [sys.executable, "-m", "casestudies.wind.predict", "--model", str(folder / "model")]
    command += ["--dem", str(dem), "--speed", "8", "--direction", "240", "--output", str(output)]
    subprocess.run(command, env=finished.environment, check=True, capture_output=True)
    with rasterio.open(output) as file:
        speed = file.read(1, masked=True)
        assert file.crs.to_epsg() == 32632 and file.shape == (60, 60)
    assert speed.count() > 500 and 4 < speed.mean() < 12


def test_the_lecture_ends_in_figures_whose_captions_quote_the_findings(finished):
    folder = finished.folder / "results/lecture"
    drawn = {path.stem for path in (folder / "simulated/figures").iterdir()}
    assert drawn == set(LECTURE_FIGURES)
    general = {path.stem for path in (folder / "figures").iterdir()}
    costs = {"cost_lecture", "cost_all"}
    assert general == {*EXPERIMENT_FIGURES, "regularisation", *costs}
    page = page_of_report(finished, "lecture")
    _, *lines = (folder / "finding.txt").read_text().splitlines()
    for line in lines:  # among the findings, and in the caption of a figure
        assert page.count(line[:50]) >= 2, line


def test_no_figure_is_so_wide_that_a_page_shrinks_its_text(finished):
    figures = list((finished.folder / "results").rglob("figures/*.svg"))
    assert len(figures) > 50
    for path in figures:
        width = re.search(r'<svg [^>]*width="([\d.]+)pt"', path.read_text())
        assert float(width[1]) <= 72 * 10.1, path


def test_costs_are_those_of_every_study_that_trains(finished):
    costs = pd.read_csv(finished.folder / "results/lecture/cost_all.csv")
    assert set(costs["study"]) == {"glacier", "satellite", "wind", "lecture"}
    assert (costs["kwh"] > 0).all() and (costs["co2e_kg"] > 0).all()
    assert {"deep_ensemble", "cnn", "temporal_autoencoder", "starts"} <= set(costs["model"])


def test_every_model_has_scores_with_intervals_on_every_scheme(finished):
    scores = table(finished, "scores.csv")
    assert set(scores["scheme"]) == {"logo", "loyo", "lsygo", "forward"}
    assert scores.groupby("scheme")["model"].nunique().min() == 15
    rmse = scores[scores["metric"] == "rmse"]
    assert ((rmse["lower"] <= rmse["estimate"]) & (rmse["estimate"] <= rmse["upper"])).all()


def test_predictions_are_out_of_fold_and_in_one_schema(finished):
    for path in (finished.folder / RESULTS / "predictions").rglob("*.parquet"):
        frame = pd.read_parquet(path)
        wanted = {"sample", "repeat", "fold", "observed", "predicted", "lower", "upper"}
        assert wanted <= set(frame.columns), path
        splits = table(finished, f"splits/{path.parent.name}.parquet")
        outer = splits[(splits["inner"] == -1) & (splits["role"] == "test")]
        merged = frame.merge(outer, on=["sample", "repeat", "fold"], how="left", indicator=True)
        assert (merged["_merge"] == "both").all(), path


def test_provenance_names_seeds_versions_and_energy(finished):
    found = json.loads((finished.folder / "results/provenance.json").read_text())
    assert found["versions"]["torch"].startswith("2.") and found["seed"] == 2021
    steps = found["studies"]["glacier/simulated"]
    assert steps["loyo/deep_ensemble"]["joules"] > 0
    assert found["totals"]["seconds"] > 0 and found["totals"]["co2e_kg"] > 0


def test_a_finished_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_touching_files_reruns_nothing(rerun):
    for path in rerun.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            path.touch()
    assert rerun.planned() == {}


def test_editing_a_model_reruns_the_fits_and_what_follows(rerun):
    path = rerun.folder / "workflow/casestudies/glacier/models.py"
    path.write_text(path.read_text() + "\n\ndef unused():\n    pass\n")
    jobs = rerun.planned()
    assert (jobs["fit_glacier_known_year"], jobs["fit_glacier_new_year"]) == (1, 3)
    assert not {"simulate_glacier", "prepare_glacier", "split", "train_glacier"} & set(jobs)
    assert {"combine_glacier", "score", "plot_glacier"} <= set(jobs)


def test_editing_a_figure_redraws_and_no_more(rerun):
    path = rerun.folder / "workflow/casestudies/glacier/plot.py"
    path.write_text(path.read_text() + "\n\ndef unused():\n    pass\n")
    assert set(rerun.planned()) == {"all", "plot_glacier"}


def test_permuted_labels_give_chance_for_every_model(checkout):
    checkout.run("results/glacier/simulated/prepared.parquet")
    path = checkout.folder / RESULTS / "prepared.parquet"
    frame = pd.read_parquet(path)
    observed = frame["mass_balance"].notna()
    values = frame.loc[observed, "mass_balance"].to_numpy()
    frame.loc[observed, "mass_balance"] = np.random.default_rng(0).permutation(values)
    frame.to_parquet(path)
    # The permuted table stands for the prepared one: nothing may make it again.
    checkout.run(
        "results/glacier/simulated/scores.csv",
        "--allowed-rules",
        "split",
        "fit_glacier_known_year",
        "fit_glacier_new_year",
        "train_glacier",
        "combine_glacier",
        "score",
    )
    scores = table(checkout, "scores.csv")
    r2 = scores[scores["metric"] == "r2"]
    honest = r2[r2["model"] != "paper_protocol"]
    assert len(honest) > 50
    assert honest["estimate"].max() <= 0.05, honest.nlargest(5, "estimate")


def test_missing_columns_stop_the_run_with_one_message(checkout):
    checkout.run("data/raw/simulated/glacier/GLIMS_1967.csv")
    path = checkout.folder / "data/raw/simulated/glacier/GLIMS_1985.csv"
    frame = pd.read_csv(path, sep=";")
    frame.drop(columns="Area").to_csv(path, sep=";", index=False)
    done = checkout.snakemake(
        "results/glacier/simulated/prepared.parquet",
        "--configfile",
        "small.yaml",
        "--allowed-rules",
        "prepare_glacier",
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "GLIMS_1985.csv" in output and "'Area'" in output
    assert not (checkout.folder / RESULTS / "prepared.parquet").exists()


def test_cuda_without_a_gpu_is_refused(finished, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    command = [
        sys.executable,
        "-m",
        "casestudies.glacier.train",
        "--prepared",
        f"{RESULTS}/prepared.parquet",
        "--splits",
        f"{RESULTS}/splits/loyo.parquet",
        "--model",
        "paper_network",
        "--units",
        "year",
        "--seed",
        "1",
        "--device",
        "cuda",
        "--checkpoint",
        str(tmp_path / "c"),
    ]
    for name in ("output", "inner", "choices", "curves"):
        command += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    done = subprocess.run(
        command,
        cwd=finished.folder,
        env=finished.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "cuda" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.parquet"))
