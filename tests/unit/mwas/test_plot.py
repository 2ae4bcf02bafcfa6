import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies import mwas
from casestudies.errors import InputError
from casestudies.evaluation.scores import auc
from casestudies.mwas import plot
from casestudies.mwas.compare import compare
from casestudies.tables import write_table
from tests.conftest import ROOT

TAXA = [
    f"k__Bacteria|p__{phylum}|c__C|o__O|f__F|g__G{k}|s__G{k}_x"
    for k, phylum in enumerate(["Firmicutes"] * 9 + ["Bacteroidetes"] * 5)
] + ["UNKNOWN"]
MODELS = ["null_model", "covariates", "ridge_log", "lasso_log", "ridge_log_covariates", "linear"]
SEED = 3


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Tables of two cohorts of 30 samples, in the form in which the study's steps write them."""
    rng = np.random.default_rng(SEED)
    folder = tmp_path_factory.mktemp("mwas") / "pasolli2016-t2d"
    count = 60
    disease = np.arange(count) % 2
    samples = pd.DataFrame(
        {
            "sample": [f"s{k}" for k in range(count)],
            "subject": [f"p{k // 2 * 2 if k < 4 else k}" for k in range(count)],
            "cohort": np.repeat(["a", "b"], count // 2),
            "age": rng.normal(50, 9, count),
            "disease": disease.astype(float),
        }
    )
    values = rng.lognormal(0, 2, (count, len(TAXA))) * (rng.random((count, len(TAXA))) < 0.7)
    values[:, -1] = 1.0
    about = {"covariates": ["age"], "positive": "1", "negative": "0", "abundance": "count"}
    table = pd.concat([samples, pd.DataFrame(values, columns=TAXA)], axis=1)
    write_table(table, folder / "prepared.parquet", about)

    scores = []
    for scheme in ("cv", "lodo"):
        for model in MODELS:
            logits = 0 if model == "null_model" else disease + rng.normal(0, 1, count)
            predicted = pd.DataFrame(
                {
                    "repeat": 0,
                    "fold": 0,
                    "sample": samples["sample"],
                    "observed": samples["disease"],
                    "predicted": 1 / (1 + np.exp(-logits)),
                }
            )
            write_table(predicted, folder / "predictions" / scheme / f"{model}.parquet")
            scores += [
                (scheme, model, metric, 0.7, 0.6, 0.8, count, "58")
                for metric in ("auc", "pr_auc", "calibration_slope", "calibration_intercept")
            ]
    columns = ["scheme", "model", "metric", "estimate", "lower", "upper", "samples", "groups"]
    write_table(pd.DataFrame(scores, columns=columns), folder / "scores.csv")

    probability = np.linspace(0.95, 0.05, len(TAXA))
    write_table(
        pd.DataFrame(
            {"taxon": TAXA, "probability": probability, "threshold": 0.8, "expected_false": 1.0}
        ),
        folder / "stability.parquet",
    )
    ratios = np.geomspace(1, 0.01, 7)
    long = pd.DataFrame(
        {"taxon": np.repeat(TAXA, len(ratios)), "lambda_ratio": np.tile(ratios, len(TAXA))}
    )
    write_table(long.assign(probability=rng.random(len(long))), folder / "stability_path.parquet")
    write_table(
        long.assign(coefficient=(1 - long["lambda_ratio"]) * rng.normal(size=len(long))),
        folder / "path.parquet",
        {"chosen": 0.1},
    )
    parts = [
        pd.DataFrame(
            {
                "model": model,
                "taxon": TAXA,
                "coefficient": rng.normal(size=len(TAXA)) * (np.arange(len(TAXA)) % keep > 0),
                "sign_stability": rng.random(len(TAXA)),
                "prevalence_cases": rng.random(len(TAXA)),
                "prevalence_controls": rng.random(len(TAXA)),
            }
        )
        for model, keep in (("ridge_log", 99), ("lasso_log", 3), ("ridge_log_covariates", 99))
    ]
    write_table(pd.concat(parts), folder / "coefficients.parquet")
    rows = [
        ("covariate", "age", "covariates", 0.7, 0.6, 0.8, count, 30, ""),
        ("covariates", "all", "covariates", 0.7, 0.6, 0.8, count, 30, "age"),
        ("model", "microbiome", "linear", 0.8, 0.7, 0.9, count, 30, ""),
        ("matched", "age", "linear", np.nan, np.nan, np.nan, 0, 0, "no case and control agree"),
        ("matched", "country = x", "linear", 0.6, 0.5, 0.7, 20, 10, "100 pairs"),
        ("added", "all", "ridge_log_covariates", 0.1, 0.0, 0.2, count, 30, ""),
    ]
    names = ["kind", "name", "model", "estimate", "lower", "upper", "samples", "positives", "note"]
    write_table(pd.DataFrame(rows, columns=names), folder / "confounding.csv")
    write_table(
        pd.DataFrame(
            [
                (model, train, test, 0.7, 30, 15)
                for model in ("ridge_log", "lasso_log")
                for train in "ab"
                for test in "ab"
            ],
            columns=["model", "train", "test", "auc", "samples", "positives"],
        ),
        folder / "transfer.parquet",
    )
    write_table(
        pd.DataFrame(
            {
                "scheme": "lodo",
                "model": "lasso_log",
                "permutation": np.arange(-1, 9),
                "auc": np.r_[0.7, rng.normal(0.5, 0.05, 9)],
            }
        ),
        folder / "permutations.parquet",
    )
    roles = ["associated"] * 2 + ["confounded"] + ["neither"] * (len(TAXA) - 3)
    write_table(pd.DataFrame({"taxon": TAXA, "role": roles}), folder / "truth.csv")
    return folder


@pytest.mark.parametrize("truth", [False, True])
def test_every_figure_is_drawn_from_tables_of_the_study(results, tmp_path, truth):
    names = ["stability"] if truth else list(plot.FIGURES)
    plot.plot(
        results=results,
        schemes=["cv", "lodo"],
        models=MODELS,
        figures=names,
        truth=results / "truth.csv" if truth else None,
        output=tmp_path,
    )
    for name in names:
        assert "</svg>" in (tmp_path / f"{name}.svg").read_text()


def test_all_data_sets_are_drawn_in_one_figure(results, tmp_path):
    compare(scores=[results / "scores.csv"], output=tmp_path / "tasks.svg")
    assert (tmp_path / "tasks.svg").is_file()


def test_figures_captions_and_models_name_the_same_things():
    from typing import get_args

    from casestudies.config.mwas import Model

    assert set(mwas.FIGURES) == set(plot.FIGURES)
    models = {name for part in get_args(Model) for name in get_args(part) or [part]}
    assert {*models, "linear", "chosen"} == set(plot.MODELS)
    for name in [*plot.FIGURES, "tasks"]:
        assert (ROOT / f"workflow/report/mwas/{name}.rst").is_file()


def test_a_missing_score_is_named(results):
    tables = plot.Results(results, ["cv"], MODELS)
    with pytest.raises(InputError, match="no auc of chosen on cv"):
        tables.score("cv", "auc", "chosen")


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=40).filter(
        lambda rows: 0 < sum(case for case, _ in rows) < len(rows)
    )
)
def test_the_area_under_the_curve_is_the_auc(rows):
    observed = np.array([float(case) for case, _ in rows])
    predicted = np.array([value / 10 for _, value in rows])
    once = np.ones((1, len(rows)))
    roc, precision = plot.curves(observed, predicted, once)
    # The grid cuts corners of at most one cell in each step of the curve.
    area = np.trapezoid(roc[0], plot.GRID)
    assert area == pytest.approx(auc(observed, predicted, once)[0], abs=0.006 * len(rows))
    assert (np.diff(roc[0]) >= -1e-12).all() and roc[0, -1] == pytest.approx(1)
    assert precision[0, -1] >= observed.mean() - 1e-12


def test_a_perfect_model_has_perfect_curves():
    observed = np.repeat([0.0, 1.0], 5)
    roc, precision = plot.curves(observed, observed, np.ones((1, 10)))
    assert (roc == 1).all() and (precision == 1).all()


def test_weights_are_repetitions():
    rng = np.random.default_rng(1)
    observed, predicted = (rng.random(30) < 0.4) * 1.0, rng.random(30)
    weights = rng.integers(0, 3, 30)
    weighted = plot.curves(observed, predicted, weights[None].astype(float))
    repeated = plot.curves(
        np.repeat(observed, weights), np.repeat(predicted, weights), np.ones((1, weights.sum()))
    )
    for ours, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_bins_recover_calibrated_probabilities():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.05, 0.95, 4000)
    table = pd.DataFrame(
        {
            "sample": np.arange(4000),
            "subject": np.arange(4000),
            "observed": (rng.random(4000) < predicted).astype(float),
            "predicted": predicted,
        }
    )
    bins = plot.calibration_bins(table)
    assert len(bins) == 10 and bins["subjects"].sum() == 4000
    inside = (bins["lower"] <= bins["predicted"]) & (bins["predicted"] <= bins["upper"])
    assert inside.sum() >= 8
    # The same samples four times over are no more certain.
    again = plot.calibration_bins(pd.concat([table] * 4))
    np.testing.assert_allclose(again["upper"] - again["lower"], bins["upper"] - bins["lower"])


def test_wilson_bounds():
    # 1 of 10 and 0 of 10, from the closed form
    lower, upper = plot.wilson(np.array([1.0, 0.0]), np.array([10, 10]))
    np.testing.assert_allclose(lower, [0.01788, 0.0], atol=1e-4)
    np.testing.assert_allclose(upper, [0.40415, 0.27753], atol=1e-4)


def test_the_tree_holds_every_taxon_once_at_its_rim():
    tree = plot.lay_out(TAXA)
    leaves = [tuple(taxon.split("|")) for taxon in TAXA]
    assert all(tree.depth[leaf] == 1 for leaf in leaves)
    assert len({round(tree.angle[leaf], 9) for leaf in leaves}) == len(TAXA)
    for node, above in tree.parent.items():
        assert tree.depth[above] < tree.depth[node] and node[:-1] == above
    assert plot.phylum(leaves[0]) == "Firmicutes" and plot.phylum(("UNKNOWN",)) == "unclassified"


def test_the_truth_is_counted():
    stability = pd.DataFrame(
        {"taxon": list("abcd"), "probability": [0.9, 0.8, 0.8, 0.1], "threshold": 0.75}
    ).assign(expected_false=1.0)
    roles = pd.Series({"a": "associated", "b": "confounded", "d": "associated"})
    assert plot.found(stability, roles) == (
        "1 true positives of 2;\n2 false discoveries, 1 of them by age"
    )


def test_the_p_value_counts_the_observed():
    assert plot.p_value(np.array([0.5, 0.6, 0.7]), 0.7) == 0.5
    assert plot.p_value(np.full(19, 0.5), 0.8) == pytest.approx(0.05)


def test_published_values_are_of_their_task_only():
    assert plot.published_auc("pasolli2016-ibd") == {
        "Pasolli et al. 2016": 0.890,
        "SIAMCAT 2021": 0.891,
    }
    assert plot.published_auc("ibd") == {} and plot.published_auc("simulated") == {}
