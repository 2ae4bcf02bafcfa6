"""What scores, combinations and nested cross-validation do for probabilities."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from casestudies.evaluation.combine import METHODS
from casestudies.evaluation.nested import log_loss, nested_cross_validation
from casestudies.evaluation.scores import Scorer, calibration_intercept, calibration_slope
from casestudies.evaluation.splits import Fold


def simulated(n=400, seed=0):
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, n)
    observed = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    return observed, odds


def probability(odds):
    return 1 / (1 + np.exp(-odds))


def test_calibration_slope_is_that_of_a_logistic_regression_on_the_log_odds():
    observed, odds = simulated()
    weights = np.ones((1, len(odds)))
    for spread in (0.5, 1.0, 3.0):
        found = calibration_slope(observed, probability(spread * odds), weights)[0]
        model = LogisticRegression(C=1e9, tol=1e-10).fit(spread * odds[:, None], observed)
        assert found == pytest.approx(model.coef_[0, 0], rel=1e-3)


def test_calibration_of_resamples_weighs_each_sample():
    observed, odds = simulated()
    weights = np.random.default_rng(1).integers(0, 3, (2, len(odds))).astype(float)
    found = calibration_slope(observed, probability(odds), weights)
    for row, slope in zip(weights, found, strict=True):
        model = LogisticRegression(C=1e9, tol=1e-10).fit(odds[:, None], observed, row)
        assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert calibration_intercept(observed, np.full(400, 0.5), np.ones((1, 400)))[
        0
    ] == pytest.approx(observed.mean() - 0.5)


def test_a_constant_or_separating_prediction_has_no_slope():
    observed, _ = simulated(50)
    weights = np.ones((1, 50))
    assert np.isnan(calibration_slope(observed, np.full(50, 0.3), weights)).all()
    separating = np.where(observed == 1, 0.9, 0.1) + np.linspace(0, 0.05, 50)
    assert np.isnan(calibration_slope(observed, separating, weights)).all()


def predictions(observed, predicted):
    return pd.DataFrame(
        {
            "sample": [f"s{i}" for i in range(len(observed))],
            "repeat": 0,
            "observed": observed,
            "predicted": predicted,
        }
    )


def test_scores_within_cohorts_ignore_what_differs_between_them():
    observed, odds = simulated(300)
    cohort = np.repeat(["a", "b", "c"], 100)
    shifted = probability(odds + np.repeat([-4, 0, 4], 100))
    units = pd.DataFrame({"cohort": cohort}, index=[f"s{i}" for i in range(300)])
    table = predictions(observed, shifted)
    pooled = Scorer(units, "classification", 200).score(table).set_index("metric")
    within = Scorer(units, "classification", 200, within=units["cohort"])
    scored = within.score(table).set_index("metric")
    by_hand = [
        Scorer(units, "classification", 200)
        .score(table[cohort == name])
        .set_index("metric")
        .loc["auc", "estimate"]
        for name in "abc"
    ]
    assert scored.loc["auc", "estimate"] == pytest.approx(np.mean(by_hand))
    assert scored.loc["auc", "estimate"] > pooled.loc["auc", "estimate"] + 0.1
    assert scored.loc["auc", "lower"] >= min(by_hand) - 1e-9
    assert scored.loc["auc", "upper"] <= max(by_hand) + 1e-9
    assert "auc_delong" in pooled.index


def test_probabilities_of_about_the_least_log_loss_are_averaged():
    observed, odds = simulated()
    sharp, right = probability(6 * odds), probability(odds)
    near_best = METHODS["classification"]["near_best"]
    assert near_best(np.stack([sharp, right], axis=1), observed).tolist() == [0, 1]
    assert log_loss(observed, right) < log_loss(observed, sharp)
    rng = np.random.default_rng(0)
    noisy = probability(odds + 0.05 * rng.normal(size=len(odds)))
    weights = near_best(np.stack([sharp, right, noisy, right], axis=1), observed)
    assert weights.tolist() == [0, 1 / 3, 1 / 3, 1 / 3]
    # The worse by more than the noise of the difference is out, be that as small as it may.
    worse = right + 1e-3 * (0.5 - observed)
    assert near_best(np.stack([worse, right], axis=1), observed).tolist() == [0, 1]
    assert np.isnan(log_loss(observed, np.full(len(observed), np.nan)))


class Constant:
    settings = ["-"]

    def predict(self, train, target, test, settings, seed):
        return np.full((len(test), 1), target.mean())


def test_a_model_without_settings_needs_no_inner_fits_unless_calibrated():
    samples, target = pd.DataFrame({"x": np.zeros(6)}), np.array([0, 1, 0, 1, 0, 1.0])
    pairs = [(np.array([2, 3]), np.array([4, 5])), (np.array([4, 5]), np.array([2, 3]))]
    folds = [Fold(0, 0, np.arange(2, 6), np.arange(2), pairs)]
    full = nested_cross_validation(Constant(), samples, target, folds, seed=1)
    short = nested_cross_validation(Constant(), samples, target, folds, seed=1, calibrated=False)
    pd.testing.assert_frame_equal(full[0], short[0])
    assert len(full[1]) == 4
    assert short[1].empty
    assert short[2].empty
