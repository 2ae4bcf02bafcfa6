"""Nested cross-validation: the choice is made inside, the test rows have no part in it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold


@dataclass
class Shrunken:
    """Predicts a share of the training mean: simple enough to work out by hand."""

    settings: tuple = (0.0, 0.5, 1.0)

    def predict(self, train, target, test, settings, seed):
        return np.full((len(test), len(settings)), target.mean()) * np.array(settings)


class Noise(Shrunken):
    """Predicts random numbers from the seed that it is given."""

    def predict(self, train, target, test, settings, seed):
        return np.random.default_rng(seed).normal(size=(len(test), len(settings)))


def make_folds(n: int, outer: int = 4, inner: int = 3) -> list[Fold]:
    rows = np.arange(n)
    folds = []
    for k in range(outer):
        train, test = rows[rows % outer != k], rows[rows % outer == k]
        parts = np.arange(len(train)) % inner
        folds.append(
            Fold(0, k, train, test, [(train[parts != j], train[parts == j]) for j in range(inner)])
        )
    return folds


def run(target, model=None, folds=None, **options):
    samples = pd.DataFrame({"x": np.zeros(len(target))})
    folds = make_folds(len(target)) if folds is None else folds
    return nested_cross_validation(
        model or Shrunken(), samples, target, folds, **{"seed": 1, **options}
    )


def test_the_setting_with_the_least_inner_loss_predicts_the_test_fold():
    target = 5 + np.random.default_rng(0).normal(size=24)
    folds = make_folds(24)
    predictions, inner, choices = run(target, folds=folds)
    assert (choices[choices["chosen"]]["setting"] == "1.0").all()
    for fold in folds:
        rows = predictions[predictions["fold"] == fold.fold]
        assert rows["position"].tolist() == fold.test.tolist()
        np.testing.assert_allclose(rows["predicted"], target[fold.train].mean())
        np.testing.assert_array_equal(rows["observed"], target[fold.test])
        held = inner[(inner["fold"] == fold.fold) & (inner["inner"] == 1)]
        train, test = fold.inner[1]
        assert held["position"].tolist() == test.tolist()
        np.testing.assert_allclose(held["predicted"], target[train].mean())


def test_the_choices_hold_every_settings_pooled_inner_loss():
    target = np.random.default_rng(0).normal(size=24)
    folds = make_folds(24)
    _, _, choices = run(target, folds=folds)
    assert len(choices) == len(folds) * 3
    rows = choices[choices["fold"] == 0].set_index("setting")
    held = np.concatenate([test for _, test in folds[0].inner])
    assert rows.loc["0.0", "inner_loss"] == pytest.approx(np.mean(target[held] ** 2))
    chosen = choices[choices["chosen"]].set_index("fold")["inner_loss"]
    assert (chosen == choices.groupby("fold")["inner_loss"].min()).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(-1e3, 1e3))
def test_the_labels_of_a_test_fold_change_nothing_that_is_said_about_it(seed, value):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=24)
    folds = make_folds(24)[:1]
    before = run(target, folds=folds)
    changed = target.copy()
    changed[folds[0].test] = value
    after = run(changed, folds=folds)
    np.testing.assert_array_equal(before[0]["predicted"], after[0]["predicted"])
    pd.testing.assert_frame_equal(before[1], after[1])
    pd.testing.assert_frame_equal(before[2], after[2])


def test_rows_without_an_observation_are_predicted_but_not_trained_on():
    target = np.arange(24.0)
    fold = make_folds(24)[0]
    target[fold.test[0]] = np.nan
    predictions, _, _ = run(target, folds=[fold])
    assert predictions["predicted"].notna().all()
    assert predictions["observed"].isna().sum() == 1
    target[fold.train[0]] = np.nan
    with pytest.raises(ValueError, match="training row"):
        run(target, folds=[fold])


def test_the_loss_decides():
    target = 5 + np.random.default_rng(0).normal(size=24)
    _, _, choices = run(target, loss=lambda observed, predicted: float(np.mean(predicted)))
    assert (choices[choices["chosen"]]["setting"] == "0.0").all()


def test_a_setting_that_predicts_nothing_is_never_chosen():
    model = Shrunken(settings=(np.nan, 1.0))
    _, _, choices = run(np.ones(24), model)
    assert (choices[choices["chosen"]]["setting"] == "1.0").all()


def test_one_seed_gives_one_result_and_every_fit_a_seed_of_its_own():
    target = np.zeros(24)
    model = Noise(settings=("only",))
    first, second, other = (run(target, model, seed=seed)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, second)
    assert not np.allclose(first["predicted"], other["predicted"])
    assert first["predicted"].nunique() == 24
    # A fold's seed does not depend on which other folds are run beside it.
    alone = run(target, model, folds=make_folds(24)[2:3])[0]
    np.testing.assert_array_equal(alone["predicted"], first[first["fold"] == 2]["predicted"])


def test_wrong_shapes_are_refused():
    class Flat(Shrunken):
        def predict(self, train, target, test, settings, seed):
            return np.zeros(len(test))

    with pytest.raises(ValueError, match="shape"):
        run(np.zeros(24), Flat())
    with pytest.raises(ValueError, match="24 samples"):
        nested_cross_validation(
            Shrunken(), pd.DataFrame(index=range(24)), np.zeros(23), make_folds(24), seed=1
        )
    fold = make_folds(24)[0]
    with pytest.raises(ValueError, match="no inner folds"):
        run(np.zeros(24), folds=[Fold(0, 0, fold.train, fold.test)])
