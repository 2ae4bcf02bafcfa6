"""From cohort to cohort: who is trained on, who is tested on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.mwas.transfer import cohort_folds, transfer
from casestudies.tables import write_table


def table(cohorts: dict[str, tuple[int, float]]) -> pd.DataFrame:
    """Cohorts of so many samples whose first taxon goes up with disease by so much."""
    rng = np.random.default_rng(2)
    parts = []
    for cohort, (n, effect) in cohorts.items():
        disease = (np.arange(n) % 2).astype(float)
        logs = rng.normal(0, 1, (n, 6))
        logs[:, 0] += effect * disease
        part = pd.DataFrame({"sample": [f"{cohort}{i}" for i in range(n)]})
        part["subject"] = [f"{cohort}{i // 4 * 2 + i % 2}" for i in range(n)]  # two samples each
        part = part.assign(cohort=cohort, age=50.0, disease=disease)
        parts.append(pd.concat([part, pd.DataFrame(np.exp(logs)).add_prefix("t")], axis=1))
    return pd.concat(parts, ignore_index=True)


def run(folder: Path, samples: pd.DataFrame, output: str = "transfer.parquet") -> pd.DataFrame:
    write_table(samples, folder / "prepared.parquet", {"covariates": ["age"]})
    transfer(
        prepared=folder / "prepared.parquet",
        models=["ridge_log", "null_model"],
        inner_folds=3,
        confidence=0.95,
        seed=4,
        output=folder / output,
    )
    return pd.read_parquet(folder / output).set_index(["model", "train", "test"])


def test_an_association_carries_where_it_is_the_same_and_turns_where_it_is_reversed(
    tmp_path: Path,
) -> None:
    samples = table({"a": (60, 3.0), "b": (40, 3.0), "c": (60, -3.0)})
    result = run(tmp_path, samples)
    assert len(result) == 2 * 3 * 3
    ridge = result.loc["ridge_log", "auc"]
    assert (ridge[[("a", "a"), ("a", "b"), ("b", "a"), ("c", "c")]] > 0.9).all()
    assert (ridge[[("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")]] < 0.1).all()
    assert result.loc[("ridge_log", "a", "b"), ["samples", "positives"]].tolist() == [40, 20]
    assert (result["lower"] <= result["auc"]).all()
    assert (result.loc["null_model", "auc"].drop([("a", "a"), ("b", "b"), ("c", "c")]) == 0.5).all()
    first = (tmp_path / "transfer.parquet").read_bytes()
    run(tmp_path, samples)
    assert (tmp_path / "transfer.parquet").read_bytes() == first


def test_training_stays_in_the_cohort_and_apart_from_the_test() -> None:
    samples = table({"a": (40, 1.0), "b": (40, 1.0)})
    folds = cohort_folds(samples, "b", 3, 0)
    own = set(range(40, 80))
    assert len(folds) == 6
    assert sorted(np.concatenate([fold.test for fold in folds[:5]])) == sorted(own)
    assert set(folds[5].train) == own and set(folds[5].test) == set(range(40))
    subject = samples["subject"].to_numpy()
    for fold in folds:
        assert set(fold.train) <= own
        assert not set(subject[fold.train]) & set(subject[fold.test])
        for train, test in fold.inner:
            assert sorted([*train, *test]) == sorted(fold.train)
            assert not set(subject[train]) & set(subject[test])


def test_a_cohort_too_small_to_train_on_is_still_tested_on(tmp_path: Path) -> None:
    result = run(tmp_path, table({"a": (40, 3.0), "b": (6, 3.0)}))
    assert result.loc[("ridge_log", "b"), "auc"].isna().all()
    assert result.loc[("ridge_log", "a", "b"), "auc"] > 0.7


def test_one_cohort_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'cohort' holds one cohort, 'a'"):
        run(tmp_path, table({"a": (20, 1.0)}))
