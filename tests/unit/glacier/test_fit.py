"""The steps that fit the classical models of one scheme, and that combine models."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudies.config.glacier import Glacier
from casestudies.config.schemes import LeaveOneGroupOut
from casestudies.errors import InputError
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.glacier import models
from casestudies.glacier.combine import combine_all
from casestudies.glacier.fit import fit
from casestudies.tables import read_metadata, write_table
from tests.unit.glacier.test_models import make_prepared

SEEDS = {"lasso": 5, "extra_trees": 7, "mean": 9}
KINDS = ("output", "inner", "choices")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    samples = make_prepared(glaciers=5, years=8)
    write_table(samples, tmp_path / "prepared.parquet")
    scheme = LeaveOneGroupOut(group="glacier", inner_folds=2)
    folds = make_folds(samples, "mass_balance", scheme, 0)
    write_table(folds_to_table(folds, samples), tmp_path / "splits.parquet")
    return tmp_path


def run(study: Path, *names: str, seeds: list[int] | None = None) -> Path:
    folder = study / "_".join(names)
    fit(
        prepared=study / "prepared.parquet",
        splits=study / "splits.parquet",
        models=list(names),
        seeds=[SEEDS[name] for name in names] if seeds is None else seeds,
        units=["glacier"],
        **{kind: folder / kind for kind in KINDS},
    )
    return folder


def test_every_model_has_its_files_whatever_else_is_fitted(study):
    several, one = run(study, *SEEDS), run(study, "extra_trees")
    for kind in KINDS:
        assert sorted(path.stem for path in (several / kind).iterdir()) == sorted(SEEDS)
        pair = [pd.read_parquet(folder / kind / "extra_trees.parquet") for folder in (several, one)]
        pd.testing.assert_frame_equal(*pair, check_exact=True)
    for name, seed in SEEDS.items():
        path = several / "output" / f"{name}.parquet"
        predicted = pd.read_parquet(path)
        samples = pd.read_parquet(study / "prepared.parquet")["sample"]
        assert sorted(predicted["sample"]) == sorted(samples)
        assert (predicted["lower"] <= predicted["upper"]).all()
        facts = read_metadata(path)
        assert (facts["model"], facts["seed"]) == (name, seed) and facts["seconds"] >= 0


def test_each_model_draws_from_its_own_seed(study):
    pair = [run(study, "extra_trees"), run(study, "extra_trees", "lasso", seeds=[8, 5])]
    own, other = (pd.read_parquet(folder / "output/extra_trees.parquet") for folder in pair)
    assert not np.allclose(own["predicted"], other["predicted"])


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (("mean", "laso"), [1, 2], "unknown model 'laso'; did you mean 'lasso'"),
        (("mean", "mean"), [1, 2], "'mean' is named twice"),
        (("mean", "lasso"), [1], "1 seeds for 2 models"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_written(study, names, seeds, message):
    before = set(study.iterdir())
    with pytest.raises(InputError, match=message):
        run(study, *names, seeds=seeds)
    assert set(study.iterdir()) == before


def test_a_model_that_fails_leaves_no_file_of_its_own(study, monkeypatch):
    def fail(*_):
        raise FloatingPointError("no")

    monkeypatch.setitem(models.MODELS, "lasso", models.Family("lasso", fail))
    with pytest.raises(FloatingPointError):
        run(study, "mean", "lasso")
    written = {path.name for path in study.rglob("mean_lasso/*/*")}
    assert written == {"mean.parquet"}


def test_one_step_chooses_and_stacks(study):
    folder = run(study, "mean", "lasso")
    combine_all(
        samples=study / "prepared.parquet",
        predictions=[folder / "output" / f"{name}.parquet" for name in ("mean", "lasso")],
        inner_predictions=[folder / "inner" / f"{name}.parquet" for name in ("mean", "lasso")],
        methods=list(Glacier.combinations),
        units=["glacier"],
        output=study / "combined",
        inner=study / "combined_inner",
        weights=study / "weights",
    )
    lasso = pd.read_parquet(folder / "output/lasso.parquet").set_index("sample")["predicted"]
    chosen = pd.read_parquet(study / "combined/chosen.parquet").set_index("sample")["predicted"]
    np.testing.assert_allclose(chosen[lasso.index], lasso)
    for method in Glacier.combinations:
        assert read_metadata(study / f"combined/{method}.parquet")["model"] == method
        weights = pd.read_parquet(study / f"weights/{method}.parquet")
        assert np.allclose(weights.groupby("fold")["weight"].sum(), 1)
        assert len(pd.read_parquet(study / f"combined_inner/{method}.parquet")) > len(lasso)
