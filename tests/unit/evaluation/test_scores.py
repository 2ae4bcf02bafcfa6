import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from casestudies.evaluation import scores
from casestudies.evaluation.conformal import add_intervals, unit_quantile
from casestudies.evaluation.scores import Scorer, cluster_weights, coverage


def ones(n):
    return np.ones((1, n))


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_metrics_equal_scikit_learn_also_weighted(seed):
    rng = np.random.default_rng(seed)
    n = 40
    weights = rng.integers(0, 3, n).astype(float)
    weights[:4] = 1
    y, p = rng.normal(size=n), rng.normal(size=n)
    assert scores.rmse(y, p, weights[None])[0] == pytest.approx(
        metrics.root_mean_squared_error(y, p, sample_weight=weights)
    )
    assert scores.r2(y, p, weights[None])[0] == pytest.approx(
        metrics.r2_score(y, p, sample_weight=weights)
    )
    label = rng.integers(0, 2, n).astype(float)
    label[:4] = [0, 1, 0, 1]
    probability = rng.random(n).round(1).clip(0.05, 0.95)  # with ties
    for ours, theirs in [
        (scores.auc, metrics.roc_auc_score),
        (scores.pr_auc, metrics.average_precision_score),
        (scores.log_loss, metrics.log_loss),
        (scores.brier, metrics.brier_score_loss),
    ]:
        assert ours(label, probability, weights[None])[0] == pytest.approx(
            theirs(label, probability, sample_weight=weights)
        )


def test_whole_units_are_resampled_and_two_kinds_multiply():
    first, second = np.repeat([0, 1, 2], 4), np.tile([0, 1, 2, 3], 3)
    rng = np.random.default_rng(0)
    one = cluster_weights([first], 500, rng)
    assert (one.reshape(500, 3, 4) == one.reshape(500, 3, 4)[:, :, :1]).all()
    assert (one.sum(axis=1) == 12).all()
    both = cluster_weights([first, second], 500, rng).reshape(500, 3, 4)
    assert np.allclose(
        both * both.sum((1, 2), keepdims=True),
        both.sum(2, keepdims=True) * both.sum(1, keepdims=True),
    )


def predictions(rng, groups=30, size=8, effect=1.0, noise=0.5):
    group = np.repeat(np.arange(groups), size)
    shared = rng.normal(size=groups)[group] * effect
    observed = rng.normal(size=len(group))
    return pd.DataFrame(
        {
            "sample": [f"s{i}" for i in range(len(group))],
            "repeat": 0,
            "fold": group,
            "observed": observed,
            "predicted": observed + shared + noise * rng.normal(size=len(group)),
        }
    ), pd.DataFrame({"group": group}, index=[f"s{i}" for i in range(len(group))])


def test_intervals_cover_the_truth_when_errors_are_shared_within_groups():
    hits = {"group": 0, "row": 0}
    for seed in range(60):
        table, units = predictions(np.random.default_rng(seed))
        truth = np.sqrt(1 + 0.25)
        for name in hits:
            unit = units if name == "group" else pd.DataFrame({"row": units.index}, units.index)
            row = Scorer(unit, resamples=300, seed=seed).score(table).iloc[0]
            hits[name] += row["lower"] <= truth <= row["upper"]
    assert hits["group"] >= 50  # nominal 57; rows as units would be far too sure
    assert hits["row"] < 45


def test_paired_differences_are_antisymmetric_and_tighter_than_unpaired():
    rng = np.random.default_rng(1)
    table, units = predictions(rng)
    worse = table.assign(predicted=table["predicted"] + 0.9 * rng.normal(size=len(table)))
    scorer = Scorer(units, resamples=500)
    result = scorer.compare({"a": table, "b": worse}).set_index(["model", "reference"])
    ab, ba = result.loc[("a", "b")], result.loc[("b", "a")]
    assert ab["estimate"] == -ba["estimate"] and ab["lower"] == pytest.approx(-ba["upper"])
    assert ab["upper"] < 0
    single = scorer.score(table).iloc[0]
    assert ab["upper"] - ab["lower"] < 0.7 * (single["upper"] - single["lower"])
    assert single["samples"] == 240 and single["groups"] == "30"


def test_undefined_predictions_are_left_out_of_both_of_a_pair():
    table, units = predictions(np.random.default_rng(2))
    partial = table.assign(predicted=table["predicted"].where(table["fold"] < 10))
    result = Scorer(units, resamples=100).compare({"a": table, "b": partial})
    assert (result["samples"] == 80).all() and (result["estimate"] == 0).all()


def test_repeats_are_averaged_not_pooled():
    table, units = predictions(np.random.default_rng(3))
    again = table.assign(repeat=1, predicted=table["predicted"] + 5)
    both = Scorer(units, resamples=100).score(pd.concat([table, again])).iloc[0]["estimate"]
    singles = [Scorer(units, resamples=100).score(t).iloc[0]["estimate"] for t in (table, again)]
    assert both == pytest.approx(np.mean(singles))


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_without_shared_errors_the_quantile_is_the_usual_one(seed):
    rng = np.random.default_rng(seed)
    residuals = rng.exponential(size=2000)
    quantile = unit_quantile(residuals, np.arange(2000), 0.9)
    assert abs((residuals <= quantile).mean() - 0.9) < 0.01


def test_units_count_alike_whatever_their_size():
    residuals = np.concatenate([np.full(900, 5.0), np.linspace(0, 1, 60)])
    units = np.concatenate([np.zeros(900), 1 + np.repeat(np.arange(20), 3)])
    assert unit_quantile(residuals, units, 0.9) <= 1


def test_one_unit_is_not_enough():
    with pytest.raises(ValueError, match="two units"):
        unit_quantile(np.ones(50), np.zeros(50), 0.9)


def test_intervals_cover_a_new_unit_as_promised():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        sizes = np.append(rng.integers(1, 40, 25), 10)
        units = np.repeat(np.arange(26), sizes)
        error = rng.normal(size=26)[units] * 1.0 + 0.2 * rng.normal(size=len(units))
        new = units == 25
        names = np.array([f"s{i}" for i in range(len(units))])
        table = pd.DataFrame({"repeat": 0, "fold": 0, "sample": names, "observed": error})
        table["predicted"] = 0.0
        done = add_intervals(table[new], table[~new], pd.DataFrame({"u": units}, index=names), 0.9)
        covered.append(coverage(done)["coverage"].iloc[0])
    assert 0.86 <= np.mean(covered) <= 0.94


@pytest.mark.parametrize("name", ["rmse", "mae", "bias", "r2"])
def test_many_rows_of_a_sample_count_as_if_each_were_weighted(name):
    rng = np.random.default_rng(3)
    units = pd.DataFrame({"unit": list("aabbccdd")}, index=[f"s{k}" for k in range(8)])
    rows = pd.DataFrame({"sample": np.repeat(units.index, 5), "repeat": 0})
    rows["observed"] = rng.normal(100, 1, len(rows))
    rows["predicted"] = rows["observed"] + rng.normal(0.2, 1, len(rows))
    scorer = Scorer(units, resamples=300, seed=1)
    found = scorer.score(rows).set_index("metric").loc[name]
    metric = scorer.metrics[name]
    weights = np.repeat(
        cluster_weights([np.array(list("abcd"))], 300, np.random.default_rng(1)), 10, 1
    )
    replicates = metric(rows["observed"].to_numpy(), rows["predicted"].to_numpy(), weights)
    whole = metric(rows["observed"].to_numpy(), rows["predicted"].to_numpy(), np.ones((1, 40)))[0]
    assert found["estimate"] == pytest.approx(whole)
    assert [found["lower"], found["upper"]] == pytest.approx(
        np.quantile(replicates, [0.025, 0.975])
    )
    assert (found["samples"], found["groups"]) == (8, "4")
