"""Labels under chance: what a permutation keeps, and what the pipeline finds on it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from casestudies.config.schemes import LeaveOneGroupOut, RepeatedKFold
from casestudies.evaluation.nested import log_loss, nested_cross_validation
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.mwas.models import build
from casestudies.mwas.permute import mean_auc, permute, permuted
from casestudies.tables import write_table

SCHEMES = {
    "cv": RepeatedKFold(subject="subject", folds=4, inner_folds=3),
    "lodo": LeaveOneGroupOut(group="cohort", inner_folds=2),
}


def table(n: int = 40, effect: float = 2.5) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    disease = rng.permutation(np.arange(3 * n) % 2).astype(float)
    logs = rng.normal(0, 1, (3 * n, 8))
    logs[:, 0] += effect * disease
    names = [f"s{i}" for i in range(3 * n)]
    frame = pd.DataFrame({"sample": names, "subject": names, "cohort": np.repeat([*"abc"], n)})
    frame = frame.assign(age=50.0, disease=disease)
    return pd.concat([frame, pd.DataFrame(np.exp(logs)).add_prefix("t")], axis=1)


def run(folder: Path, samples: pd.DataFrame, scheme: str, threads: int = 1, count: int = 8):
    write_table(samples, folder / "prepared.parquet", {"covariates": ["age"]})
    folds = make_folds(samples, "disease", SCHEMES[scheme], 0)
    facts = {"scheme": SCHEMES[scheme].model_dump(mode="json")}
    write_table(folds_to_table(folds, samples), folder / "splits.parquet", facts)
    permute(
        prepared=folder / "prepared.parquet",
        splits=folder / "splits.parquet",
        scheme=scheme,
        model="lasso_log",
        permutations=count,
        threads=threads,
        seed=5,
        output=folder / "permutations.parquet",
    )
    return pd.read_parquet(folder / "permutations.parquet"), folds


@pytest.mark.parametrize("scheme", SCHEMES)
def test_permuted_labels_give_chance_and_true_ones_what_fit_gives(
    tmp_path: Path, scheme: str
) -> None:
    samples = table()
    result, folds = run(tmp_path, samples, scheme)
    assert list(result.columns) == ["scheme", "model", "permutation", "auc"]
    assert result["permutation"].tolist() == list(range(-1, 8))
    null = result.loc[result["permutation"] >= 0, "auc"]
    assert abs(null.mean() - 0.5) < 0.08
    assert null.nunique() > 1
    predicted, _, _ = nested_cross_validation(
        build("lasso_log", [f"t{i}" for i in range(8)], []),
        samples,
        samples["disease"].to_numpy(),
        folds,
        seed=5,
        loss=log_loss,
    )
    areas = [
        roc_auc_score(part["observed"], part["predicted"])
        for _, part in predicted.groupby(["repeat", "fold"])
    ]
    # The folds are drawn anew, so that the areas agree but for chance.
    assert result["auc"].iloc[0] == pytest.approx(np.mean(areas), abs=0.02)
    assert result["auc"].iloc[0] > 0.85


def test_a_model_that_finds_nothing_has_one_half_which_pooled_it_has_not() -> None:
    """The reason for averaging over folds: training parts hold what the held-out fold lacks."""
    samples = table(7)
    folds = make_folds(samples, "disease", SCHEMES["cv"], 0)
    predicted, _, _ = nested_cross_validation(
        build("null_model", [], []),
        samples,
        samples["disease"].to_numpy(),
        folds,
        seed=5,
        loss=log_loss,
    )
    assert mean_auc(predicted) == 0.5
    assert roc_auc_score(predicted["observed"], predicted["predicted"]) < 0.48


def test_threads_change_nothing(tmp_path: Path) -> None:
    samples = table(14)
    first, _ = run(tmp_path, samples, "lodo", threads=1, count=3)
    second, _ = run(tmp_path, samples, "lodo", threads=2, count=3)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_a_subject_keeps_one_label_and_a_cohort_its_share(seed: int, people: list[int]) -> None:
    rng = np.random.default_rng(seed)
    samples = pd.DataFrame({"subject": people})
    samples["cohort"] = np.where(samples["subject"] < 3, "a", "b")
    samples["disease"] = rng.integers(0, 2, 6)[samples["subject"]].astype(float)
    drawn = samples.assign(disease=permuted(samples, rng))
    assert (drawn.groupby("subject")["disease"].nunique() == 1).all()
    share = [t.drop_duplicates("subject").groupby("cohort")["disease"] for t in (samples, drawn)]
    pd.testing.assert_series_equal(share[0].sum(), share[1].sum())


def test_a_cohort_of_one_class_stays_so() -> None:
    samples = pd.DataFrame({"cohort": [*"aaabbb"], "subject": range(6)})
    samples["disease"] = [1.0, 1, 1, 0, 0, 0]
    assert permuted(samples, np.random.default_rng(0)).tolist() == [1, 1, 1, 0, 0, 0]


def test_the_auc_is_averaged_over_folds_with_both_classes() -> None:
    predictions = pd.DataFrame(
        {
            "repeat": [0] * 5 + [1] * 5,
            "fold": [0, 0, 1, 1, 2] * 2,
            "observed": [0, 1, 0, 1, 1] * 2,
            "predicted": [0.8, 0.9, 0.3, 0.2, 0.1, 0.1, 0.2, 0.3, 0.3, 0.1],
        }
    )
    # Repeat 0: 1 and 0; repeat 1: 1 and a tie; the third folds have one class.
    assert mean_auc(predictions) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
