"""Stability selection, coefficients, path and the model for new samples."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.evaluation.nested import log_loss, nested_cross_validation
from casestudies.evaluation.splits import Fold
from casestudies.mwas.abundance import load
from casestudies.mwas.explain import (
    EXPLAINED,
    FIXED,
    choose_model,
    complementary_halves,
    explain,
    first_to_enter,
    folds_over_subjects,
    number_to_select,
    resampled,
    stability_selection,
    subjects_of,
)
from casestudies.mwas.models import AbundanceClassifier, build
from casestudies.mwas.predict import read_model
from casestudies.tables import read_metadata, read_table, write_table

SAMPLES, TAXA, TRUE = 120, 40, 4
NAMES = [f"k__Bacteria|s__Taxon_{k}" for k in range(TAXA)]
OPTIONS = {"bootstrap": 20, "pairs": 20, "threshold": 0.75, "expected_false": 1.0, "seed": 1}


def make_prepared(path: Path, covariates: bool = True, seed: int = 0) -> Path:
    """Two samples of most subjects; the first four taxa tell the class."""
    rng = np.random.default_rng(seed)
    subject = np.arange(SAMPLES) // 2
    target = (subject % 2).astype(float)
    logs = rng.normal(size=(SAMPLES, TAXA))
    logs[:, :TRUE] += np.array([2, -2, 2, -2]) * target[:, None]
    values = np.exp(logs)
    values[:, 10:] *= rng.random((SAMPLES, TAXA - 10)) < 0.8
    values[:, -1] = 0
    values[:3, -1] = 1  # too rare to be kept
    frame = pd.DataFrame(
        {
            "sample": [f"s{k}" for k in range(SAMPLES)],
            "subject": [f"p{k}" for k in subject],
            "cohort": np.where(subject < 30, "A", "B"),
            "age": rng.normal(50, 10, SAMPLES),
            "disease": target,
        }
    )
    if not covariates:
        frame = frame.drop(columns="age")
    about = {
        "covariates": ["age"] if covariates else [],
        "positive": "cancer",
        "negative": "healthy",
        "abundance": "percent",
        "table": "test",
    }
    taxa = pd.DataFrame(100 * values / values.sum(axis=1, keepdims=True), columns=NAMES)
    write_table(pd.concat([frame, taxa], axis=1), path, about)
    return path


def cross_validated(folder: Path, prepared: Path, names: list[str]) -> tuple[list, list]:
    """Inner and out-of-fold predictions of some models, as the fit step writes them."""
    data = load(prepared)
    part = pd.factorize(data.samples["subject"])[0] % 3
    rows = np.arange(len(part))
    folds = []
    for k in range(3):
        train = rows[part != k]
        pairs = [(train[part[train] != j], train[part[train] == j]) for j in np.unique(part[train])]
        folds.append(Fold(0, k, train, rows[part == k], pairs))
    inner, outer = [], []
    for name in names:
        tables = nested_cross_validation(
            build(name, data.taxa.columns, data.usable_covariates),
            data.predictors,
            data.samples["disease"].to_numpy(),
            folds,
            seed=0,
            loss=log_loss,
        )
        for table, kind, found in zip(
            tables, ("predictions", "inner"), (outer, inner), strict=False
        ):
            table["sample"] = data.samples["sample"].to_numpy()[table["position"]]
            path = folder / kind / "cv" / f"{name}.parquet"
            write_table(table.drop(columns="position"), path)
            found.append(path)
    return inner, outer


def outputs(folder: Path) -> dict[str, Path]:
    names = ("stability", "stability_path", "coefficients", "path")
    return {name: folder / f"{name}.parquet" for name in names} | {"model": folder / "model.json"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("explain")
    prepared = make_prepared(folder / "prepared.parquet")
    inner, outer = cross_validated(folder, prepared, ["ridge_clr", "lasso_log"])
    given_ = {"prepared": prepared, "inner": inner, "predictions": outer}
    explain(**given_, **OPTIONS, **outputs(folder))
    return {**given_, **outputs(folder)}


# Resampling


def test_halves_share_no_subject_and_hold_both_classes_alike(tmp_path: Path) -> None:
    samples = load(make_prepared(tmp_path / "p.parquet")).samples
    first, second = complementary_halves(subjects_of(samples), np.random.default_rng(0))
    assert len(first) == len(second) == SAMPLES // 2
    assert not set(samples["subject"].iloc[first]) & set(samples["subject"].iloc[second])
    for half in (first, second):
        assert samples["disease"].iloc[half].mean() == 0.5


def test_a_bootstrap_draws_whole_subjects_within_class(tmp_path: Path) -> None:
    samples = load(make_prepared(tmp_path / "p.parquet")).samples
    rows = resampled(subjects_of(samples), np.random.default_rng(0))
    drawn = samples.iloc[rows]
    assert drawn["disease"].mean() == 0.5
    times = drawn["sample"].value_counts().reindex(samples["sample"], fill_value=0).to_numpy()
    assert (times[::2] == times[1::2]).all()
    assert times.max() > 1


def test_folds_keep_subjects_whole(tmp_path: Path) -> None:
    samples = load(make_prepared(tmp_path / "p.parquet")).samples
    folds = folds_over_subjects(samples, subjects_of(samples), 0)
    assert len(folds) == 10
    for train, test in folds:
        assert not set(samples["subject"].iloc[train]) & set(samples["subject"].iloc[test])
    few = samples[samples["disease"].eq(0) | samples["subject"].eq("p1")].reset_index(drop=True)
    with pytest.raises(InputError, match="has 1 subject"):
        folds_over_subjects(few, subjects_of(few), 0)


# Stability selection


@given(st.floats(0.1, 20), st.floats(0.55, 1), st.integers(20, 2000))
def test_as_many_may_enter_as_the_bound_allows(false: float, threshold: float, taxa: int) -> None:
    denominator = (2 * threshold - 1) * taxa
    if false * denominator < 1:
        with pytest.raises(InputError, match="lets none"):
            number_to_select(false, threshold, taxa)
        return
    q = number_to_select(false, threshold, taxa)
    assert q**2 / denominator <= false * (1 + 1e-6)
    assert q == taxa or (q + 1) ** 2 / denominator > false


def test_the_bound_needs_a_threshold_above_a_half() -> None:
    with pytest.raises(InputError, match=r"more than 0\.5"):
        number_to_select(1.0, 0.5, 100)


def test_the_first_to_enter_are_taken() -> None:
    path = np.array([[0, 0, 1], [0, 1, 1], [0, -2, 0], [0, 0, 0], [0, 0, -3]])
    assert first_to_enter(path, 1).tolist() == [False, False, True, False, False]
    assert first_to_enter(path, 3).tolist() == [False, True, True, False, True]
    assert first_to_enter(path, 5).tolist() == [True, True, True, False, True]


def test_false_selections_keep_to_the_bound_on_noise() -> None:
    """On labels without meaning every selection is false; about expected_false may occur."""
    rng = np.random.default_rng(3)
    samples = pd.DataFrame({"subject": range(80), "disease": np.arange(80) % 2.0})
    target = samples["disease"].to_numpy()
    subjects = subjects_of(samples)
    false = []
    for _ in range(8):
        values = rng.normal(size=(80, 60))
        probability, _ = stability_selection(
            values, target, subjects, pairs=15, count=number_to_select(1.0, 0.75, 60), rng=rng
        )
        false.append((probability >= 0.75).sum())
    assert np.mean(false) <= 1.0


def test_true_taxa_are_selected_and_others_not(done: dict) -> None:
    table = read_table(done["stability"])
    assert list(table.columns) == ["taxon", "probability", "threshold", "expected_false"]
    assert len(table) == TAXA - 1  # the rare one is filtered out
    assert table["probability"].is_monotonic_decreasing
    selected = table.loc[table["probability"] >= table["threshold"], "taxon"]
    assert set(selected) >= set(NAMES[:TRUE])
    assert len(selected) <= TRUE + 1


def test_the_stability_path_is_of_the_most_probable_taxa(done: dict) -> None:
    table = read_table(done["stability_path"])
    assert list(table.columns) == ["taxon", "lambda_ratio", "probability"]
    top = read_table(done["stability"])["taxon"].iloc[:30]
    assert table["taxon"].unique().tolist() == top.tolist()
    assert table["probability"].between(0, 1).all()
    # The first penalty is that at which a lasso is empty.
    assert (table.loc[table["lambda_ratio"] == 1.0, "probability"] < 0.5).all()


# Coefficients and path


def test_coefficients_have_the_signs_of_the_truth(done: dict) -> None:
    table = read_table(done["coefficients"])
    assert table["model"].unique().tolist() == list(EXPLAINED)
    for _, part in table.groupby("model"):
        part = part.set_index("taxon")
        assert len(part) == TAXA - 1
        true = part.loc[NAMES[:TRUE]]
        assert np.sign(true["coefficient"]).tolist() == [1, -1, 1, -1]
        assert (true["sign_stability"] > 0.9).all()
        assert ((true["lower"] > 0) | (true["upper"] < 0)).all()
        assert (part["lower"] <= part["upper"]).all()
    assert table[["prevalence_cases", "prevalence_controls"]].stack().between(0, 1).all()


def test_means_and_prevalences_are_those_of_the_table(done: dict) -> None:
    data = load(done["prepared"])
    case = data.samples["disease"] > 0
    table = read_table(done["coefficients"])
    row = table[table["model"] == "lasso_log"].set_index("taxon").loc[NAMES[2]]
    assert row["mean_cases"] == pytest.approx(data.taxa.loc[case, NAMES[2]].mean())
    assert row["prevalence_controls"] == (data.taxa.loc[~case, NAMES[2]] > 0).mean()


def test_the_path_holds_the_coefficients_at_the_chosen_penalty(done: dict) -> None:
    path = read_table(done["path"])
    assert list(path.columns) == ["taxon", "lambda_ratio", "coefficient"]
    chosen = read_metadata(done["path"])["chosen"]
    at = path[np.isclose(path["lambda_ratio"], chosen)].set_index("taxon")["coefficient"]
    table = read_table(done["coefficients"])
    lasso = table[table["model"] == "lasso_log"].set_index("taxon")["coefficient"]
    np.testing.assert_array_equal(at, lasso[at.index])
    assert not lasso.drop(at.index).any()


def test_without_covariates_there_is_no_adjusted_model(tmp_path: Path, done: dict) -> None:
    prepared = make_prepared(tmp_path / "prepared.parquet", covariates=False)
    small = {**OPTIONS, "bootstrap": 2, "pairs": 1}
    kept = {"inner": done["inner"], "predictions": done["predictions"]}
    explain(prepared=prepared, **kept, **small, **outputs(tmp_path))
    assert read_table(tmp_path / "coefficients.parquet")["model"].unique().tolist() == [
        "ridge_log",
        "lasso_log",
    ]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, done: dict) -> None:
    given_ = {name: done[name] for name in ("prepared", "inner", "predictions")}
    small = {**OPTIONS, "bootstrap": 3, "pairs": 2}
    for name in "ab":
        explain(**given_, **small, **outputs(tmp_path / name))
    for name, path in outputs(tmp_path / "a").items():
        assert path.read_bytes() == outputs(tmp_path / "b")[name].read_bytes()


# The model for new samples


def test_the_model_of_least_inner_loss_is_written(done: dict) -> None:
    losses = {}
    for path in done["inner"]:
        table = read_table(path)
        losses[path.stem] = log_loss(table["observed"].to_numpy(), table["predicted"].to_numpy())
    best = min(losses, key=losses.get)
    assert choose_model(done["inner"]) == choose_model(done["inner"][::-1]) == best
    assert read_model(done["model"]).model == best


def test_the_written_model_is_the_one_fitted_to_all_samples(done: dict) -> None:
    data = load(done["prepared"])
    fitted = read_model(done["model"])
    l1_ratio = 1.0 if fitted.model.startswith("lasso") else 0.0
    again = AbundanceClassifier(fitted.transform, l1_ratio, ratio=fitted.penalty_ratio)
    again.fit(data.taxa, data.samples["disease"].to_numpy())
    names = [taxon.name for taxon in fitted.taxa]
    assert names == again.kept_
    values = data.taxa.to_numpy()
    shares = (values / values.sum(axis=1, keepdims=True))[:, data.taxa.columns.get_indexer(names)]
    probability = 1 / (1 + np.exp(-fitted.log_odds(shares)))
    np.testing.assert_allclose(
        probability, again.predict_proba(data.taxa)[:, 1], rtol=0, atol=1e-12
    )
    assert (fitted.samples, fitted.subjects, fitted.cases) == (SAMPLES, SAMPLES // 2, SAMPLES // 2)
    assert fitted.cohorts == ["A", "B"]
    assert fitted.calibration.scheme == "cv"
    assert fitted.calibration.samples == SAMPLES
    assert 0.8 < fitted.calibration.auc_lower < fitted.calibration.auc < 1
    assert json.loads(done["model"].read_text())["format"] == 1


def test_models_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    assert FIXED == ("ridge_log", "ridge_clr", "ridge_proportion", "lasso_log", "lasso_clr")
    with pytest.raises(InputError, match="no inner predictions of ridge_log"):
        choose_model([tmp_path / "cv" / "random_forest.parquet"])


def test_the_model_needs_its_out_of_fold_predictions(tmp_path: Path, done: dict) -> None:
    kept = {name: done[name] for name in ("prepared", "inner")}
    with pytest.raises(InputError, match="no out-of-fold predictions"):
        explain(**kept, predictions=[], **OPTIONS, **outputs(tmp_path))
    assert not list(tmp_path.iterdir())
