import numpy as np
import pandas as pd

from casestudies.evaluation.combine import choose, combine_models, stack


def models(rng, quality):
    """Two outer folds of ten samples; inner predictions of the other fold's samples."""
    observed = rng.normal(size=20)
    outer, inner = {}, {}
    for name, error in quality.items():
        predicted = observed + error * rng.normal(size=20)
        rows = pd.DataFrame({"sample": [f"s{i}" for i in range(20)], "repeat": 0})
        rows = rows.assign(fold=np.repeat([0, 1], 10), observed=observed, predicted=predicted)
        outer[name] = rows
        inner[name] = rows.assign(fold=1 - rows["fold"], inner=np.tile([0, 1], 10))
    return outer, inner


def test_the_better_model_is_chosen_by_its_inner_error():
    outer, inner = models(np.random.default_rng(0), {"bad": 2.0, "good": 0.1})
    combined, crossed, weights = combine_models(outer, inner, choose)
    assert np.allclose(combined["predicted"], outer["good"]["predicted"])
    assert len(crossed) == 20
    assert weights.pivot_table(values="weight", index="fold", columns="model")["good"].eq(1).all()


def test_outer_observations_have_no_part_in_the_choice():
    outer, inner = models(np.random.default_rng(0), {"bad": 2.0, "good": 0.1})
    before = combine_models(outer, inner, stack)[0]["predicted"]
    changed = {n: t.assign(observed=-t["observed"]) for n, t in outer.items()}
    assert before.equals(combine_models(changed, inner, stack)[0]["predicted"])
    shuffled = {n: t.assign(observed=-t["observed"]) for n, t in inner.items()}
    assert not before.equals(combine_models(outer, shuffled, stack)[0]["predicted"])


def test_stacking_weights_are_a_convex_combination_no_worse_in_sample():
    rng = np.random.default_rng(4)
    outer, inner = models(rng, {"a": 0.6, "b": 0.7, "c": 0.8})
    weights = combine_models(outer, inner, stack)[2]
    sums = weights.groupby("fold")["weight"].sum()
    assert np.allclose(sums, 1) and (weights["weight"] >= 0).all()


def test_a_model_that_is_undefined_somewhere_in_a_fold_takes_no_part():
    outer, inner = models(np.random.default_rng(0), {"bad": 2.0, "good": 0.1})
    outer["good"].loc[3, "predicted"] = np.nan
    combined, _, weights = combine_models(outer, inner, choose)
    assert combined["predicted"].notna().all()
    assert set(weights[weights["fold"] == 0]["model"]) == {"bad"}


def test_points_of_a_sample_are_combined_each_for_itself():
    rows = pd.DataFrame({"repeat": 0, "fold": 0, "sample": np.repeat(["a", "b"], 3)})
    rows = rows.assign(point=[0, 1, 2] * 2, observed=np.arange(6.0), inner=[0, 1] * 3)
    good, bad = rows.assign(predicted=rows["observed"]), rows.assign(predicted=0.0)
    tables = {"bad": bad.sample(frac=1, random_state=1), "good": good}
    outer, _, weights = combine_models(tables, tables, choose)
    assert (outer["predicted"] == outer["observed"]).all()
    assert set(outer.columns) >= {"sample", "point"} and len(outer) == 6
    assert weights.set_index("model")["weight"].to_dict() == {"bad": 0.0, "good": 1.0}


def test_a_simple_model_is_preferred_where_it_is_among_the_best():
    outer, inner = models(np.random.default_rng(0), {"bad": 2.0, "good": 0.1, "other": 0.1})

    def both(predicted, observed):
        return np.array([0, 0.5, 0.5])

    combined, crossed, weights = combine_models(outer, inner, both, simple=["bad", "other"])
    assert np.allclose(combined["predicted"], outer["other"]["predicted"])
    assert set(weights.loc[weights["weight"] > 0, "model"]) == {"other"}
    assert len(crossed) == 20
    kept = combine_models(outer, inner, both, simple=["bad"])[2]
    assert set(kept.loc[kept["weight"] > 0, "model"]) == {"good", "other"}
