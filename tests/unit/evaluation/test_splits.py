import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.config.schemes import (
    Blocked,
    Forward,
    LeaveGroupsOut,
    LeaveOneGroupOut,
    RandomKFold,
    RepeatedKFold,
)
from casestudies.errors import InputError
from casestudies.evaluation.splits import folds_to_table, make_folds, read_folds
from casestudies.tables import write_table

SCHEMES = {
    "logo": LeaveOneGroupOut(group="glacier", inner_folds=3),
    "loyo": LeaveOneGroupOut(group="year", test_from=2005, inner_folds=3),
    "lsygo": LeaveGroupsOut(groups=("glacier", "year"), parts=(3, 4), inner_folds=3),
    "forward": Forward(time="year", cuts=[2008, 2011], gap=1, inner_folds=3),
    "blocked": Blocked(time="year", blocks=4, gap=1, inner_folds=3),
    "random": RandomKFold(folds=4, inner_folds=3),
}


def table(seed: int = 0, gaps: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(f"g{g}_{y}", f"g{g}", y) for g in range(8) for y in range(2000, 2015)]
    frame = pd.DataFrame(rows, columns=["sample", "glacier", "year"])
    values = rng.normal(size=len(frame))
    values[rng.random(len(frame)) < gaps] = np.nan
    return frame.assign(balance=values)


def pairs(fold):
    return [(fold.train, fold.test), *fold.inner]


@pytest.mark.parametrize("name", SCHEMES)
@given(seed=st.integers(0, 50))
@settings(max_examples=8, deadline=None)
def test_no_unit_is_shared_between_training_and_test(name, seed):
    frame, scheme = table(seed), SCHEMES[name]
    for fold in make_folds(frame, "balance", scheme, seed):
        assert frame["balance"].iloc[fold.train].notna().all()
        assert not set(np.concatenate([t for _, t in fold.inner])) - set(fold.train)
        for train, test in pairs(fold):
            assert len(train) and len(test)
            for unit in scheme.units:
                assert not set(frame[unit].iloc[train]) & set(frame[unit].iloc[test])


def test_each_group_is_tested_once():
    frame = table()
    folds = make_folds(frame, "balance", SCHEMES["logo"], 1)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(len(frame)))  # unobserved rows are predicted, too
    inner = np.concatenate([test for _, test in folds[0].inner])
    assert sorted(inner) == sorted(folds[0].train)


def test_random_folds_test_every_observed_sample_once():
    frame = table()
    folds = make_folds(frame, "balance", SCHEMES["random"], 1)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(np.flatnonzero(frame["balance"].notna()))
    for fold in folds:
        assert sorted([*fold.train, *fold.test]) == sorted(tested)


def test_the_independent_unit_of_blocks_may_be_longer_than_their_time():
    assert Blocked(time="day", blocks=2).units == ["day"]
    assert Blocked(time="day", blocks=2, unit="period").units == ["period"]


def test_early_years_are_trained_on_but_not_tested():
    frame = table()
    folds = make_folds(frame, "balance", SCHEMES["loyo"], 1)
    assert {int(frame["year"].iloc[fold.test].iloc[0]) for fold in folds} == set(range(2005, 2015))
    assert all(2000 in frame["year"].iloc[fold.train].to_numpy() for fold in folds)


def test_cells_cover_every_observation_once():
    frame = table()
    folds = make_folds(frame, "balance", SCHEMES["lsygo"], 1)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(np.flatnonzero(frame["balance"].notna()))


@pytest.mark.parametrize("name", ["forward", "blocked"])
def test_the_gap_is_kept(name):
    frame = table()
    for fold in make_folds(frame, "balance", SCHEMES[name], 1):
        for train, test in pairs(fold):
            distance = np.abs(
                frame["year"].to_numpy()[train][:, None] - frame["year"].to_numpy()[test][None]
            )
            assert distance.min() > 1
            if name == "forward":
                assert frame["year"].iloc[train].max() < frame["year"].iloc[test].min()


def test_stratified_folds_keep_subjects_together_and_classes_in_proportion():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"subject": np.repeat([f"s{i}" for i in range(60)], 2)})
    frame["sample"] = [f"a{i}" for i in range(120)]
    frame["label"] = np.repeat(rng.permutation([0, 1] * 30), 2).astype(float)
    scheme = RepeatedKFold(subject="subject", folds=5, repeats=2, inner_folds=3)
    folds = make_folds(frame, "label", scheme, 3)
    assert len(folds) == 10
    for fold in folds:
        for train, test in pairs(fold):
            assert not set(frame["subject"].iloc[train]) & set(frame["subject"].iloc[test])
        assert abs(frame["label"].iloc[fold.test].mean() - 0.5) < 0.15
    first, second = (np.sort(folds[i].test) for i in (0, 5))
    assert not np.array_equal(first, second)


def test_where_every_subject_gave_one_sample_the_classes_are_spread_evenly():
    frame = pd.DataFrame({"subject": [f"s{i}" for i in range(61)]})
    frame["sample"] = frame["subject"]
    frame["label"] = np.random.default_rng(0).permutation(np.arange(61) < 22).astype(float)
    scheme = RepeatedKFold(subject="subject", folds=5, repeats=2, inner_folds=3)
    folds = make_folds(frame, "label", scheme, 3)
    for fold in folds:
        assert frame["label"].iloc[fold.test].sum() in (4, 5)
        assert len(fold.test) in (12, 13)
    for repeat in (folds[:5], folds[5:]):
        tested = np.concatenate([fold.test for fold in repeat])
        assert np.array_equal(np.sort(tested), np.arange(61))


@pytest.mark.parametrize("name", SCHEMES)
def test_written_and_read_back_the_folds_are_the_same(name, tmp_path):
    frame = table()
    folds = make_folds(frame, "balance", SCHEMES[name], 5)
    write_table(folds_to_table(folds, frame), tmp_path / "s.parquet")
    again = read_folds(tmp_path / "s.parquet", frame)
    for ours, theirs in zip(folds, again, strict=True):
        for left, right in zip(pairs(ours), pairs(theirs), strict=True):
            assert np.array_equal(left[0], right[0]) and np.array_equal(left[1], right[1])


def test_the_seed_decides():
    frame = table()

    def tests(seed):
        return [f.test.tolist() for f in make_folds(frame, "balance", SCHEMES["lsygo"], seed)]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)


def test_bad_input_is_explained(tmp_path):
    frame = table()
    with pytest.raises(InputError, match="needs column 'glacier'"):
        make_folds(frame.drop(columns="glacier"), "balance", SCHEMES["logo"], 1)
    one = frame.assign(glacier="g0")
    with pytest.raises(InputError, match="0 training"):
        make_folds(one, "balance", SCHEMES["logo"], 1)
    two = frame.assign(glacier=np.where(frame["glacier"] == "g0", "g0", "g1"))
    with pytest.raises(InputError, match="fold 0 leaves too few groups"):
        make_folds(two, "balance", SCHEMES["logo"], 1)
    decades = frame.assign(decade=frame["year"] // 10)
    halves = Blocked(time="year", blocks=2, gap=1, unit="decade", inner_folds=2)
    with pytest.raises(InputError, match="fold 0 test samples of one decade only"):
        make_folds(decades[decades["year"] < 2010], "balance", halves, 1)
    classes = frame.assign(balance=(np.arange(len(frame)) < 2).astype(float))
    with pytest.raises(InputError, match="a class of 'balance' has 2"):
        make_folds(classes, "balance", RepeatedKFold(), 1)
    write_table(
        folds_to_table(make_folds(frame, "balance", SCHEMES["logo"], 1), frame),
        tmp_path / "s.parquet",
    )
    with pytest.raises(InputError, match="'g0_2000' is not among the prepared samples"):
        read_folds(tmp_path / "s.parquet", frame.iloc[15:])
