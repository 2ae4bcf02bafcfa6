"""The plan: small, quick to parse, the same from both Snakefiles, clear about mistakes."""

import subprocess
import sys

import pytest
import yaml

from tests.checkout import ROOT, parse_jobs

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_a_bare_dry_run_plans_the_studies(checkout, snakefile):
    done = checkout.snakemake("-n", "--snakefile", snakefile)
    jobs = parse_jobs(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    assert {"all", "simulate_glacier", "fit_glacier_new_year", "train_glacier"} <= set(jobs)
    assert {"fit_wind_mass_consistent", "score"} <= set(jobs)
    assert "fetch" not in jobs
    assert sum(jobs.values()) < 300


def test_published_data_are_fetched_only_when_asked_for(checkout):
    done = checkout.snakemake("-n", "glacier", "--configfile", "config/published.yaml")
    jobs = parse_jobs(done.stdout + done.stderr)
    assert jobs["fetch"] > 9 and "simulate_glacier" not in jobs


@pytest.mark.parametrize(("per_job", "jobs"), [(1, 62), (16, 4)])
def test_a_costly_flow_model_has_a_job_for_some_terrains(per_job, jobs, checkout):
    wind = f"{{datasets: [simulated-rans], flows_per_job: {per_job}, simulation: {{terrains: 62}}}}"
    done = checkout.snakemake("-n", "wind", "--config", f"wind={wind}")
    planned = parse_jobs(done.stdout + done.stderr)
    assert planned["solve_wind_openfoam"] == jobs and "tile_wind" not in planned


def test_the_whole_campaign_is_a_small_plan(checkout):
    done = checkout.snakemake("-n", "--configfile", "config/full.yaml")
    jobs = parse_jobs(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    assert jobs["solve_wind_openfoam"] == 31  # (600 + 4 × 40) terrains, 25 a job
    # Downloads take seconds, and are made beforehand where compute nodes are offline.
    fetched = sum(count for name, count in jobs.items() if name.startswith("fetch"))
    assert sum(jobs.values()) - fetched < 300


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "config").glob("*.yaml")))
def test_the_groups_of_the_slurm_profile_hold_for_every_configuration(checkout, name):
    profile = ["--workflow-profile", "profiles/slurm"]
    done = checkout.snakemake("-n", "all", *profile, "--configfile", f"config/{name}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Group job prepare" in done.stdout + done.stderr


def test_the_slurm_profile_groups_rules_that_exist(checkout):
    groups = yaml.safe_load((checkout.folder / "profiles/slurm/config.yaml").read_text())["groups"]
    listed = checkout.snakemake("--list-rules")
    assert set(groups) <= set((listed.stdout + listed.stderr).split())


def test_parsing_needs_neither_pandas_nor_torch(checkout):
    program = (
        "import sys, casestudies.config, casestudies.datasets, casestudies.sources\n"
        "assert not {'pandas', 'torch', 'pyarrow', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=checkout.environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("glacer: {}", "glacer: unknown key; did you mean 'glacier'?"),
        ("seed: many", "seed: input should be a valid integer"),
        ("glacier: {models: [laso]}", "glacier.models.0: 'laso' is not valid; did you mean"),
    ],
)
def test_a_mistake_in_the_configuration_stops_the_run_at_once(checkout, text, message):
    (checkout.folder / "wrong.yaml").write_text(text)
    done = checkout.snakemake("--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (checkout.folder / "data").exists() and not (checkout.folder / "results").exists()


def test_targets_have_descriptions(checkout):
    listed = checkout.snakemake("--list-target-rules")
    for target in (
        "all",
        "glacier",
        "mwas",
        "satellite",
        "wind",
        "lecture",
        "regularisation",
        "report_html",
        "download",
    ):
        assert f"{target} (" in listed.stdout + listed.stderr
    lines = (listed.stdout + listed.stderr).splitlines()
    rules = [line for line in lines if line and " profile " not in line]
    assert len(rules) > 20 and not [line for line in rules if " (" not in line]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["snakemake", "--lint"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_style(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
