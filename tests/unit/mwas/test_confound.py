"""What covariates explain, on tables whose answer is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from casestudies.config.schemes import RepeatedKFold
from casestudies.errors import InputError
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.mwas.confound import COLUMNS, agreeing, confound, matched_auc
from casestudies.tables import write_table

FOLDS = RepeatedKFold(subject="subject", folds=4, inner_folds=2)


@pytest.fixture
def study(tmp_path: Path) -> dict:
    """Cases are old and all from A, where half are controls; the microbiome knows the country."""
    rng = np.random.default_rng(1)
    disease = np.repeat([1.0, 0.0, 0.0], 20)
    country = np.repeat(["a", "a", "b"], 20)
    age = np.where(disease == 1, 60.0, 30.0) + rng.uniform(0, 20, 60)
    age[59] = np.nan
    names = [f"s{i}" for i in range(60)]
    table = pd.DataFrame({"sample": names, "subject": names, "cohort": "c", "age": age})
    table = table.assign(country=country, sick=disease, disease=disease, taxon=rng.random(60))
    prepared = tmp_path / "prepared.parquet"
    covariates = ["age", "country", "sick"]
    write_table(table, prepared, {"covariates": covariates, "defining": ["sick"]})
    folds = make_folds(table, "disease", FOLDS, 0)
    write_table(folds_to_table(folds, table), tmp_path / "cv.parquet")
    predictions = []
    scores = {
        "ridge_log": (country == "a") * 0.5 + rng.uniform(0, 0.3, 60),
        "ridge_log_covariates": 0.9 * disease + 0.05,
    }
    for model, predicted in scores.items():
        out = pd.DataFrame({"repeat": 0, "sample": names, "observed": disease})
        predictions.append(tmp_path / "cv" / f"{model}.parquet")
        write_table(out.assign(predicted=predicted), predictions[-1])
    return {
        "prepared": prepared,
        "splits": tmp_path / "cv.parquet",
        "predictions": predictions,
        "caliper_age": 5.0,
        "caliper_bmi": 2.0,
        "confidence": 0.95,
        "seed": 1,
        "output": tmp_path / "confounding.csv",
    }


def run(study: dict) -> pd.DataFrame:
    confound(**study)
    return pd.read_csv(study["output"]).set_index(["kind", "name"])


def test_a_country_that_gives_the_cases_away_is_seen_through(study: dict) -> None:
    table = run(study)
    assert [*table.index.names, *table.columns] == COLUMNS
    # In a perfect cross-validation the country alone has AUC 0.75, and so has its microbiome.
    assert table.loc[("covariate", "country"), "estimate"] == pytest.approx(0.75, abs=0.12)
    assert table.loc[("model", "microbiome"), "estimate"] > 0.65
    within = table.loc[("matched", "country")]
    assert within["lower"] < 0.5 < within["upper"]
    assert within[["samples", "positives"]].tolist() == [40, 20]
    assert within["note"] == "400 pairs; same value"
    stratum = table.loc[("matched", "country = a"), "estimate"]
    assert stratum == pytest.approx(within["estimate"])
    assert ("matched", "country = b") not in table.index  # no case there


def test_what_defines_the_label_is_said(study: dict) -> None:
    table = run(study)
    assert table.loc[("covariate", "sick"), "note"].startswith("the label was made from it")
    assert table.loc[("covariate", "age"), "note"] == "defines the label; missing in 1 samples"
    assert table.loc[("covariates", "all"), "note"] == "age, country"
    assert np.isnan(table.loc[("matched", "sick"), "estimate"])
    assert table.loc[("matched", "sick"), "samples"] == 0


def test_what_the_microbiome_adds_is_a_difference(study: dict) -> None:
    table = run(study)
    together = table.loc[("covariates", "all"), "estimate"]
    added = table.loc[("added", "all")]
    assert added["estimate"] == pytest.approx(1 - together)
    assert added["lower"] <= added["estimate"] <= added["upper"]


def test_same_seed_same_bytes(study: dict) -> None:
    run(study)
    first = study["output"].read_bytes()
    run(study)
    assert study["output"].read_bytes() == first


def test_a_model_of_the_taxa_must_be_there(study: dict) -> None:
    with pytest.raises(InputError, match="none of ridge_log, linear"):
        confound(**{**study, "predictions": study["predictions"][1:]})


def test_predictions_of_other_samples_are_refused(study: dict) -> None:
    table = pd.read_parquet(study["predictions"][0])
    table.loc[3, "sample"] = "stranger"
    write_table(table, study["predictions"][0])
    with pytest.raises(InputError, match="sample 'stranger' is not among"):
        confound(**study)


@given(st.integers(0, 1000), st.integers(4, 30))
def test_matching_on_nothing_is_the_area_under_the_curve(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.permutation(np.arange(n) % 2).astype(float)
    predicted = rng.integers(0, 5, n) / 4  # with ties
    weights = np.vstack([np.ones(n), 1 + rng.integers(0, 3, n)])
    area = matched_auc(observed, predicted, np.ones((n, n), bool), weights)
    assert area[0] == pytest.approx(roc_auc_score(observed, predicted))
    assert area[1] == pytest.approx(roc_auc_score(observed, predicted, sample_weight=weights[1]))


def test_matching_counts_the_agreeing_pairs_by_hand() -> None:
    age = pd.Series([50, 53, 70, 52, np.nan])
    agree = agreeing(age, 3.0)
    observed = np.array([1.0, 0, 1, 0, 0])
    predicted = np.array([0.5, 0.4, 0.1, 0.5, 0.0])
    # Of the case aged 50, the controls of 53 (below it) and 52 (a tie); of that of 70, none.
    assert matched_auc(observed, predicted, agree, np.ones((1, 5)))[0] == pytest.approx(0.75)
    assert agreeing(pd.Series(["x", None, None, "x"]), None).sum() == 4  # missing agrees with none
