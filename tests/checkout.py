"""A copy of the checkout in which the real plan runs on small data."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

SMALL = """
scores: {bootstrap: 200}
training: {threads: 1, checkpoint_every: 0.2}
glacier:
  simulation: {glaciers: 8, first_year: 1970, last_year: 2009}
  schemes:
    logo: {inner_folds: 3}
    loyo: {inner_folds: 3, test_from: 2002}
    lsygo: {inner_folds: 3, parts: [2, 2], test_from: 1990}
    forward: {inner_folds: 3, cuts: [1999, 2004]}
  paper_network: &few {known_year_epochs: 12, new_year_epochs: 12}
  paper_protocol: *few
  deep_ensemble: {steps: 40, members: 2}
mwas:
  simulation: {cohorts: 3, samples: 40, taxa: 80, associated: 10, confounded: 5}
  schemes:
    cv: {folds: 3, inner_folds: 3}
    lodo: {inner_folds: 3}
  models: [null_model, covariates, lasso, ridge_log, lasso_log, ridge_log_covariates, random_forest]
  permutations: 3
  bootstrap: 20
  stability: {pairs: 10}
satellite:
  simulation: {pixels: 32, days: 60}
  schemes:
    blocked: {blocks: 2, gap: 3, inner_folds: 2}
    random: {folds: 2, inner_folds: 2}
  encoders: [pca, slow_features, temporal_autoencoder]
  latent_sizes: [4, 8]
  temporal_autoencoder: {steps: 20}
  cnn: {steps: 10}
  label_curves: {labels: [10, 20], draws: 1}
wind:
  simulation: {terrains: 16}
  tile: {cells: 16, spacing: 100, heights: [10]}
  mass_consistent: {levels: 8}
  schemes:
    terrain: {folds: 2, inner_folds: 2}
  baselines: [log_law, linear, ridge]
  networks: [unet, fno_corrected]
  unet: &short {width: 4, epochs: 4}
  fno: *short
  training_sizes: [6]
  cost_terrains: 3
lecture:
  simulation: {measurements: 30}
  bootstrap: 50
  descent: {steps: 50}
  redraw: {sets: 50, degrees: 12}
  landscape: {starts: 50, steps: 100}
  variance: {widths: [2, 8], measurements: 10, sets: 4, steps: 20}
  starts: {widths: [2, 8], starts: 8, points: 20, steps: 20}
  approximation: {widths: [4, 8], depths: [1, 2], starts: 2, points: 60, steps: 20}
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project in a folder of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(self.folder / "workflow"),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
        }

    def snakemake(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake here and return what it printed."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *arguments: str, **variables: str) -> str:
        """Run snakemake here, which must succeed, and return what it printed."""
        done = self.snakemake(*arguments, "--configfile", "small.yaml", **variables)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return the jobs that a run would do now, by rule."""
        done = self.snakemake("-n", "--quiet", "host", *arguments, "--configfile", "small.yaml")
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        return parse_jobs(text)


def parse_jobs(text: str) -> dict[str, int]:
    """Return the table of jobs that snakemake prints."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.split() == ["job", "count"]]
    jobs = {}
    for line in lines[starts[0] + 2 :] if starts else []:
        if len(line.split()) != 2 or line.startswith("total"):
            break
        name, count = line.split()
        jobs[name] = int(count)
    return jobs


def copy_checkout(folder: Path) -> Checkout:
    """Copy what a run needs: the plan, the package, configuration and profiles."""
    for name in ("Snakefile", "workflow", "config", "profiles", "envs"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / "small.yaml").write_text(SMALL)
    return Checkout(folder)
