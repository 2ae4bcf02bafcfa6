import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from casestudies.evaluation.delong import delong_interval, placements


def table(observed, predicted, repeat=0):
    names = [f"s{i}" for i in range(len(observed))]
    return pd.DataFrame(
        {"repeat": repeat, "sample": names, "observed": observed, "predicted": predicted}
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=4, max_size=40))
def test_placements_average_to_the_area_ties_included(rows):
    observed, predicted = map(np.array, zip(*rows, strict=True))
    if 0 < observed.mean() < 1:
        values = placements(observed.astype(float), predicted.astype(float))
        area = roc_auc_score(observed, predicted)
        assert values[observed == 1].mean() == pytest.approx(area)
        assert values[observed == 0].mean() == pytest.approx(area)


def test_the_interval_covers_the_truth_about_as_often_as_promised():
    rng = np.random.default_rng(0)
    truth = 0.7602  # Φ(1/√2): normal scores one standard deviation apart
    covered = 0
    for _ in range(300):
        observed = np.repeat([0.0, 1.0], [60, 40])
        predicted = rng.normal(size=100) + observed
        _, lower, upper = delong_interval(table(observed, predicted), np.arange(100))
        covered += lower <= truth <= upper
    assert 0.91 <= covered / 300 <= 0.99


def test_samples_of_one_subject_count_once():
    rng = np.random.default_rng(1)
    observed = np.repeat([0.0, 1.0], 30)
    predicted = rng.normal(size=60) + observed
    once = delong_interval(table(observed, predicted), np.arange(60))
    doubled = table(np.tile(observed, 2), np.tile(predicted, 2))
    together = delong_interval(doubled, np.tile(np.arange(60), 2))
    apart = delong_interval(doubled, np.arange(120))
    assert together == pytest.approx(once, abs=1e-9)
    assert apart[2] - apart[1] < 0.8 * (once[2] - once[1])


def test_repeats_are_averaged_and_a_single_class_has_no_area():
    observed = np.repeat([0.0, 1.0], 20)
    rng = np.random.default_rng(2)
    parts = [table(observed, rng.normal(size=40) + observed, repeat) for repeat in range(3)]
    areas = [roc_auc_score(part["observed"], part["predicted"]) for part in parts]
    estimate, lower, upper = delong_interval(pd.concat(parts), np.tile(np.arange(40), 3))
    assert estimate == pytest.approx(np.mean(areas))
    assert lower < estimate < upper
    assert np.isnan(delong_interval(table(np.ones(5), np.arange(5.0)), np.arange(5))).all()
