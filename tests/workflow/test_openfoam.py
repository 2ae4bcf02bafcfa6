"""RANS flows for real, from random fields to a trained surrogate."""

import pandas as pd
import pytest

pytestmark = pytest.mark.workflow

TINY = """
scores: {bootstrap: 200}
wind:
  datasets: [simulated-rans]
  simulation: {terrains: 12, slope: [0.05, 0.15], correlation_length: [300, 600]}
  tile: {cells: 16, spacing: 100, heights: [10]}
  openfoam: {levels: 10, iterations: 200}
  schemes:
    terrain: {folds: 2, inner_folds: 2}
  baselines: [log_law, linear, mass_consistent, ridge]
  networks: [unet_corrected]
  unet: {width: 4, epochs: 4}
  training_sizes: [6]
  cost_terrains: 2
"""


@pytest.mark.usefixtures("openfoam_installed")
def test_cases_run_as_jobs_and_end_in_a_surrogate(checkout):
    (checkout.folder / "small.yaml").write_text(TINY)
    checkout.run("wind", "--cores", "2")
    folder = checkout.folder / "results/wind/simulated-rans"
    flows = sorted(path.name for path in (folder / "flows/openfoam").glob("*.nc"))
    assert flows == ["0.nc", "1.nc", "2.nc"]  # four terrains each
    assert not list((folder / "flows/openfoam").glob("*.checkpoints"))
    table = pd.read_parquet(folder / "prepared.parquet")
    used = table[table["reason"] == ""]
    assert len(used) >= 8 and (used["iterations"] > 10).all() and (used["seconds"] > 0).all()
    assert used["speed"].between(0.5, 1.5).all()
    scores = pd.read_csv(folder / "scores.csv").set_index(["model", "metric"])
    assert {"unet_corrected", "mass_consistent", "surrogate"} <= set(scores.index.unique("model"))
    assert scores.loc[("log_law", "rmse"), "samples"] == len(used)
    text = (folder / "finding.txt").read_text()
    assert "RANS model" in text and "processor time" in text
    assert (folder / "model/model.json").is_file()
