"""The penalised models: at the optimum, in scikit-learn's manner, chance where nothing is known."""

import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from casestudies.config.schemes import LeaveOneGroupOut, RepeatedKFold
from casestudies.errors import InputError
from casestudies.evaluation.nested import log_loss, nested_cross_validation
from casestudies.evaluation.scores import auc
from casestudies.evaluation.splits import make_folds
from casestudies.mwas.models import (
    AbundanceClassifier,
    PenalisedLogisticRegression,
    build,
    penalty_ratios,
)
from casestudies.mwas.transforms import (
    AbundanceTransform,
    Closure,
    PrevalenceFilter,
    covariate_encoder,
    taxa_pipeline,
)

TAXA = 60
COVARIATES = ["age", "sex"]


def make_table(
    samples: int = 60, taxa: int = TAXA, effect: float = 1.5, seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """Covariates and log-normal abundances with absences; the first five taxa tell the class."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(samples) % 2).astype(float)
    logs = rng.normal(size=(samples, taxa))
    logs[:, :5] += effect * target[:, None]
    values = np.exp(logs)
    values[:, 10:] *= rng.random((samples, taxa - 10)) < 0.7
    values[:, -1] += 1  # so that no sample is empty
    table = pd.DataFrame(values, columns=[f"s__Taxon_{k}" for k in range(taxa)])
    table.insert(0, "age", rng.normal(50, 10, samples))
    table.insert(1, "sex", rng.choice(["female", "male"], samples))
    table.loc[3, "age"] = np.nan
    return table, target


def area(observed: np.ndarray, predicted: np.ndarray) -> float:
    return float(auc(observed, predicted, np.ones((1, len(observed))))[0])


# The optimum


def objective(
    X: np.ndarray,
    y: np.ndarray,
    coefficients: np.ndarray,
    intercept: float,
    penalty: float,
    l1_ratio: float,
    free: int = 0,
) -> float:
    """Mean log loss plus penalty, as PenalisedLogisticRegression states it."""
    odds = X @ coefficients + intercept
    beta = coefficients[free:]
    shrinkage = l1_ratio * np.abs(beta).sum() + (1 - l1_ratio) * (beta @ beta) / 2
    return float(np.mean(np.logaddexp(0, odds) - y * odds) + penalty * shrinkage)


def problem(samples: int = 80, columns: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(samples, columns))
    y = (X[:, 0] - X[:, 1] + X[:, 2] + rng.normal(size=samples) > 0.3).astype(float)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("free", [0, 3])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.0, 0.5])
def test_every_point_of_the_path_is_optimal(l1_ratio: float, free: int) -> None:
    X, y = problem()
    model = PenalisedLogisticRegression(
        l1_ratio, penalty_ratios(l1_ratio, 12), 0.01, unpenalised=free
    )
    model.fit(X, y)
    for k in (0, 4, 8, 11):
        penalty = model.lambdas_[k]
        here = objective(
            X, y, model.coef_path_[:, k], model.intercept_path_[k], penalty, l1_ratio, free
        )
        if l1_ratio:
            best = split_solution(X, y, penalty, l1_ratio, free)
        else:
            # scikit-learn penalises every column; those stretched far enough are as good as free.
            stretch = np.where(np.arange(X.shape[1]) < free, 1e3, 1.0)
            tight = LogisticRegression(
                C=1 / (len(y) * penalty), solver="newton-cholesky", tol=1e-10
            ).fit(X * stretch, y)
            best = objective(
                X, y, tight.coef_[0] * stretch, tight.intercept_[0], penalty, l1_ratio, free
            )
        assert here - best <= 1e-5
        assert here - best >= -1e-5


def split_solution(
    X: np.ndarray, y: np.ndarray, penalty: float, l1_ratio: float, free: int
) -> float:
    """The least objective, by a bounded smooth problem: coefficients as differences of parts >= 0.

    scikit-learn's solver of the lasso does not converge on the stretched columns.
    """
    columns = X.shape[1]
    spared = np.arange(columns) < free

    def value_and_gradient(parts: np.ndarray) -> tuple[float, np.ndarray]:
        beta = parts[:columns] - parts[columns : 2 * columns]
        odds = X @ beta + parts[-1]
        shrunk = np.where(spared, 0, penalty)
        size = parts[:columns] + parts[columns : 2 * columns]
        value = np.mean(np.logaddexp(0, odds) - y * odds)
        value += (shrunk * (l1_ratio * size + (1 - l1_ratio) * beta**2 / 2)).sum()
        residual = (expit(odds) - y) / len(y)
        slope = X.T @ residual + shrunk * (1 - l1_ratio) * beta
        rise = shrunk * l1_ratio
        return float(value), np.r_[slope + rise, -slope + rise, residual.sum()]

    bounds = [(0, None)] * (2 * columns) + [(None, None)]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 20000, "maxfun": 20000}
    start = np.zeros(2 * columns + 1)
    return minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    ).fun


@pytest.mark.parametrize("free", [0, 2])
def test_a_lasso_is_empty_at_the_first_penalty_and_not_just_below(free: int) -> None:
    X, y = problem()
    model = PenalisedLogisticRegression(1.0, [1.001, 0.98], 0.98, unpenalised=free).fit(X, y)
    assert not model.coef_path_[free:, 0].any()
    assert model.coef_path_[free:, 1].any()


def test_separated_classes_keep_the_path_at_its_length() -> None:
    X, y = problem()
    X = np.hstack([X, 10 * y[:, None]])
    model = PenalisedLogisticRegression(1.0, np.geomspace(1, 1e-6, 60), 1e-6).fit(X, y)
    assert model.coef_path_.shape == (31, 60)
    assert np.isfinite(model.path_probabilities(X)).all()
    assert (model.predict(X) == y).all()


def test_the_chosen_penalty_has_the_least_held_out_loss() -> None:
    X, y = problem()
    model = PenalisedLogisticRegression(1.0, cv=5).fit(X, y)
    assert model.ratio_ == model.path_ratios_[model.cv_loss_.argmin()]
    assert 0.01 < model.ratio_ < 1
    again = PenalisedLogisticRegression(1.0, model.path_ratios_, model.ratio_).fit(X, y)
    np.testing.assert_array_equal(model.coef_, again.coef_)


# In scikit-learn's manner

CHECKS = [
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_estimators_dtypes,
    estimator_checks.check_estimators_nan_inf,
    estimator_checks.check_estimators_pickle,
    estimator_checks.check_estimators_unfitted,
    estimator_checks.check_fit2d_1sample,
    estimator_checks.check_methods_sample_order_invariance,
    estimator_checks.check_methods_subset_invariance,
    estimator_checks.check_n_features_in,
    estimator_checks.check_fit_idempotent,
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "estimator",
    [
        PenalisedLogisticRegression(ratio=0.1),
        Closure(),
        PrevalenceFilter(),
        AbundanceTransform("presence"),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimator_checks_of_scikit_learn(estimator, check) -> None:
    if isinstance(estimator, Closure) and check.__name__ == "check_estimators_dtypes":
        # One of the check's samples is empty: closure must refuse it rather than divide by zero.
        with pytest.raises(ValueError, match="holds none of the taxa"):
            check(type(estimator).__name__, clone(estimator))
        return
    check(type(estimator).__name__, clone(estimator))


def test_clone_and_pipeline() -> None:
    table, target = make_table()
    model = AbundanceClassifier("log", 0.0, covariates=COVARIATES, ratio=1.0)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert set(model.get_params()) == set(inspect.signature(AbundanceClassifier).parameters)
    direct = model.fit(table, target).predict_proba(table)
    np.testing.assert_array_equal(copy.fit(table, target).predict_proba(table), direct)
    assert direct.shape == (60, 2)
    np.testing.assert_allclose(direct.sum(axis=1), 1)

    taxa = table.drop(columns=COVARIATES).to_numpy()
    chain = make_pipeline(taxa_pipeline("log"), PenalisedLogisticRegression(0.0, ratio=1.0))
    alone = AbundanceClassifier("log", 0.0, ratio=1.0).fit(table.drop(columns=COVARIATES), target)
    np.testing.assert_allclose(
        clone(chain).fit(taxa, target).predict_proba(taxa),
        alone.predict_proba(table),
        rtol=1e-12,
    )
    assert set(chain.fit(taxa, target).predict(taxa)) == {0.0, 1.0}


def test_labels_may_be_words() -> None:
    X, y = problem()
    words = np.where(y > 0, "sick", "healthy")
    model = PenalisedLogisticRegression(ratio=0.05).fit(X, words)
    assert list(model.classes_) == ["healthy", "sick"]
    assert (model.predict(X) == words).mean() > 0.8


def test_columns_are_found_by_name_and_others_ignored() -> None:
    table, target = make_table()
    model = AbundanceClassifier(covariates=["age"], ratio=0.1, taxa=list(table.columns[2:]))
    expected = model.fit(table, target).predict_proba(table)
    shuffled = table[table.columns[::-1]].assign(other="x")
    np.testing.assert_array_equal(model.predict_proba(shuffled), expected)


# Covariates


def test_covariates_are_not_shrunk() -> None:
    """Under a penalty that empties the taxa, the covariate is as free as in a plain regression."""
    rng = np.random.default_rng(0)
    table, _ = make_table(200)
    table["age"] = rng.normal(50, 10, 200)
    target = (rng.random(200) < 1 / (1 + np.exp(-(table["age"] - 50) / 10))).astype(float)
    taxa = list(table.columns[2:])
    model = AbundanceClassifier(covariates=["age"], taxa=taxa, ratio=1.0).fit(table, target)
    scaled = StandardScaler().fit_transform(table[["age"]])
    plain = LogisticRegression(C=np.inf).fit(scaled, target)
    assert model.regression_.coef_[0, 0] == pytest.approx(plain.coef_[0, 0], abs=1e-3)
    assert np.abs(model.regression_.coef_[0, 1:]).max() < 1e-3


def test_covariates_may_be_missing_new_or_all_alike() -> None:
    train = pd.DataFrame({"age": [1.0, 2, np.nan], "sex": ["f", "m", "f"], "bmi": [np.nan] * 3})
    encoder = covariate_encoder().fit(train)
    new = pd.DataFrame({"age": [np.nan, 5], "sex": ["m", "unknown"], "bmi": [20.0, np.nan]})
    assert np.isfinite(encoder.transform(new)).all()


# Transforms

ABUNDANCES = arrays(float, (6, 5), elements=st.one_of(st.just(0.0), st.floats(1e-3, 1e3))).map(
    lambda X: X + np.eye(6, 5) + np.eye(6, 5, -1)
)
SCALES = arrays(float, 6, elements=st.floats(1e-3, 1e3))


@given(ABUNDANCES, SCALES)
def test_closure_does_not_see_the_depth(X: np.ndarray, scales: np.ndarray) -> None:
    closed = Closure().fit_transform(X)
    np.testing.assert_allclose(closed.sum(axis=1), 1)
    np.testing.assert_allclose(Closure().fit_transform(X * scales[:, None]), closed, rtol=1e-12)
    np.testing.assert_array_equal(closed > 0, X > 0)


@given(ABUNDANCES, SCALES)
def test_clr_rows_sum_to_zero_and_do_not_see_the_depth(X: np.ndarray, scales: np.ndarray) -> None:
    chain = make_pipeline(Closure(), AbundanceTransform("clr"))
    values = chain.fit_transform(X)
    np.testing.assert_allclose(values.sum(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(chain.fit_transform(X * scales[:, None]), values, atol=1e-9)


@given(ABUNDANCES)
def test_clr_keeps_the_ratios_of_what_is_present(X: np.ndarray) -> None:
    values = make_pipeline(Closure(), AbundanceTransform("clr")).fit_transform(X)
    for row, clr in zip(X, values, strict=True):
        present = row > 0
        logs = np.log(row[present])
        np.testing.assert_allclose(clr[present] - clr[present][0], logs - logs[0], atol=1e-8)


@given(ABUNDANCES, st.sampled_from(["log", "arcsine", "presence", "proportion"]))
def test_other_transforms_keep_the_order_within_a_sample(X: np.ndarray, kind: str) -> None:
    closed = Closure().fit_transform(X)
    values = AbundanceTransform(kind).fit_transform(closed)
    for proportions, transformed in zip(closed, values, strict=True):
        assert (np.diff(transformed[np.argsort(proportions)]) >= 0).all()


@given(ABUNDANCES, ABUNDANCES, st.floats(0, 1))
@settings(max_examples=50)
def test_the_filter_uses_training_rows_only(
    train: np.ndarray, test: np.ndarray, minimum: float
) -> None:
    fitted = PrevalenceFilter(minimum).fit(train)
    prevalence = (train > 0).mean(axis=0)
    expected = prevalence >= min(minimum, prevalence.max())
    np.testing.assert_array_equal(fitted.kept_, expected)
    np.testing.assert_array_equal(fitted.transform(test), test[:, expected])
    assert expected.any()


@pytest.mark.parametrize(
    ("X", "message"),
    [([[1.0, -1.0], [1.0, 1.0]], "negative"), ([[0.0, 0.0], [1.0, 1.0]], "none of the taxa")],
)
def test_closure_refuses_what_is_no_abundance(X: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Closure().fit(np.array(X))


def test_an_unknown_transform_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown transform 'cube'"):
        AbundanceTransform("cube").fit(np.ones((2, 2)))


def test_a_test_sample_has_no_part_in_the_training() -> None:
    """Predictions of one sample are the same whatever else is predicted with it."""
    table, target = make_table()
    train, test = np.arange(40), np.arange(40, 60)
    model = build("lasso_clr", table.columns[2:], [])
    settings_ = model.settings[10:12]
    together = model.predict(table.iloc[train], target[train], table.iloc[test], settings_, 0)
    alone = model.predict(table.iloc[train], target[train], table.iloc[test[:1]], settings_, 0)
    np.testing.assert_allclose(together[:1], alone, rtol=1e-12)


# The whole: signal found, chance where there is none


def make_samples(target: np.ndarray) -> pd.DataFrame:
    names = [f"s{k}" for k in range(len(target))]
    return pd.DataFrame({"sample": names, "subject": names, "disease": target})


def cross_validated_auc(
    name: str, table: pd.DataFrame, target: np.ndarray, seed: int = 0, folds: int = 4
) -> float:
    scheme = RepeatedKFold(subject="subject", folds=folds, repeats=1, inner_folds=max(2, folds - 1))
    splits = make_folds(make_samples(target), "disease", scheme, seed)
    model = build(name, [c for c in table if c not in COVARIATES], COVARIATES)
    predicted, _, _ = nested_cross_validation(
        model, table, target, splits, seed=seed, loss=log_loss, label=name
    )
    # Within folds: base rates of the training parts run against those of the test parts.
    parts = [part for _, part in predicted.groupby("fold") if 0 < part["observed"].mean() < 1]
    return float(
        np.mean([area(p["observed"].to_numpy(), p["predicted"].to_numpy()) for p in parts])
    )


@pytest.mark.parametrize(
    "name",
    [
        "ridge",
        "elastic_net",
        "ridge_log",
        "lasso_clr",
        "ridge_log_covariates",
        "random_forest",
        "gradient_boosting",
    ],
)
def test_a_strong_signal_is_found(name: str) -> None:
    table, target = make_table(80, effect=2.5)
    assert cross_validated_auc(name, table, target, folds=2) > 0.8


def test_families_share_the_paths_that_they_have_in_common() -> None:
    table, target = make_table(40)
    train, test = table.iloc[:30], table.iloc[30:]
    fitted: dict = {}
    alone, after = (
        [
            model.predict(train, labels, test, model.settings, 0)
            for labels in (target[:30], 1 - target[:30])
            for model in (build(name, table.columns[2:], [], shared) for name in names)
        ]
        for names, shared in ((["ridge_log"], None), (["ridge", "ridge_log"], fitted))
    )
    np.testing.assert_array_equal(alone[0], after[1])
    np.testing.assert_array_equal(alone[1], after[3])  # other labels, other paths
    assert len(fitted) == 2 * 5
    np.testing.assert_array_equal(after[0][:, ::5], alone[0])  # log is the first of five transforms


@pytest.mark.parametrize("name", ["null_model", "covariates"])
def test_models_without_taxa_do_not_see_them(name: str) -> None:
    table, target = make_table(80, effect=2.5)
    changed = table.copy()
    changed.iloc[:, 2:] = changed.iloc[::-1, 2:].to_numpy()
    assert cross_validated_auc(name, table, target) == cross_validated_auc(name, changed, target)


PERMUTATIONS = 30


def test_permuted_labels_give_chance() -> None:
    table, target = make_table(90)
    rng = np.random.default_rng(7)
    areas = [
        cross_validated_auc("lasso_log", table, rng.permutation(target), seed)
        for seed in range(PERMUTATIONS)
    ]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)


def test_choosing_taxa_before_cross_validation_is_caught() -> None:
    """The guard above can fail: taxa chosen on all samples make chance look like skill."""
    table, target = make_table(90, taxa=400)
    rng = np.random.default_rng(7)
    areas = []
    for seed in range(5):
        labels = rng.permutation(target)
        logs = taxa_pipeline("log", 0.0).fit_transform(table.iloc[:, 2:].to_numpy())
        difference = logs[labels > 0].mean(axis=0) - logs[labels == 0].mean(axis=0)
        best = np.sort(np.argsort(-np.abs(difference))[:20])
        areas.append(cross_validated_auc("lasso_log", table.iloc[:, 2 + best], labels, seed))
    assert np.mean(areas) > 0.75


# A class that is missing


def test_too_few_of_a_class_for_the_folds_is_one_message() -> None:
    target = np.r_[np.ones(3), np.zeros(40)]
    scheme = RepeatedKFold(subject="subject", folds=10, repeats=1, inner_folds=5)
    with pytest.raises(InputError, match="a class of 'disease' has 3; choose fewer folds"):
        make_folds(make_samples(target), "disease", scheme, 0)


def test_a_cohort_that_leaves_one_class_is_one_message() -> None:
    samples = make_samples(np.r_[np.ones(6), np.zeros(6)])
    samples["cohort"] = ["a"] * 6 + ["b"] * 3 + ["c"] * 3
    scheme = LeaveOneGroupOut(group="cohort", inner_folds=2)
    with pytest.raises(InputError, match=r"6 training samples of fold 0 .* are all of one class"):
        make_folds(samples, "disease", scheme, 0)


def test_one_class_is_one_message() -> None:
    with pytest.raises(ValueError, match=r"y has 1 class\(es\) \(1.0\)"):
        PenalisedLogisticRegression().fit(np.ones((4, 2)), np.ones(4))


def test_a_fold_without_a_class_is_one_message() -> None:
    X, y = problem()
    order = np.argsort(y)
    pairs = [(order[: int((y == 0).sum())], order[int((y == 0).sum()) :])]
    with pytest.raises(ValueError, match="a fold's training part holds one class only"):
        PenalisedLogisticRegression(cv=pairs).fit(X, y)
