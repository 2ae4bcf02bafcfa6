"""Label curves with intervals, and the finding in words."""

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.satellite.summarise import Curves, finding, inner_choice, summarise
from casestudies.tables import read_table, write_table

SAMPLES, DRAWS = 80, 3


def curve_table(noise: float, seed: int, inner_mse: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    observed = np.random.default_rng(0).normal(size=SAMPLES)
    parts = [
        pd.DataFrame(
            {
                "labels": labels,
                "draw": draw,
                "fold": np.arange(SAMPLES) // 20,
                "sample": [f"s{k}" for k in range(SAMPLES)],
                "observed": observed,
                "predicted": observed + noise * rng.normal(size=SAMPLES),
                "train_r2": 0.9,
                "inner_mse": inner_mse,
            }
        )
        for labels in (25, 50)
        for draw in range(DRAWS)
    ]
    return pd.concat(parts, ignore_index=True)


def blocks() -> pd.Series:
    return pd.Series(np.arange(SAMPLES) // 5, index=[f"s{k}" for k in range(SAMPLES)])


def at(table: pd.DataFrame, labels: int = 50) -> pd.DataFrame:
    return table[table["labels"] == labels]


def test_the_estimate_is_the_mean_over_draws_of_r2_over_all_folds():
    table = at(curve_table(0.5, 1))
    row = Curves({"pca": table}, blocks(), 500, 0.95, 0).scores().iloc[0]
    expected = [
        1
        - ((g["observed"] - g["predicted"]) ** 2).sum()
        / ((g["observed"] - g["observed"].mean()) ** 2).sum()
        for _, g in table.groupby("draw")
    ]
    assert row["estimate"] == pytest.approx(np.mean(expected))
    assert row["lower"] < row["estimate"] < row["upper"]
    assert (row["draws"], row["samples"]) == (DRAWS, SAMPLES)


def test_differences_are_paired():
    good, bad = at(curve_table(0.5, 1)), at(curve_table(0.5, 1))
    bad = bad.assign(predicted=bad["predicted"] + 0.05)
    done = Curves({"latent": good, "pca": bad}, blocks(), 500, 0.95, 0)
    pair = done.differences().set_index(["model", "reference"]).loc[("latent", "pca")]
    scores = done.scores().set_index("model")
    assert pair["difference"] == pytest.approx(
        scores.loc["latent", "estimate"] - scores.loc["pca", "estimate"]
    )
    width = scores.loc["latent", "upper"] - scores.loc["latent", "lower"]
    assert pair["upper"] - pair["lower"] < 0.5 * width


def test_curves_of_other_draws_are_refused():
    good = at(curve_table(0.5, 1))
    with pytest.raises(InputError, match="label curve of pca has other samples or draws"):
        Curves({"mean": good, "pca": good[good["draw"] > 0]}, blocks(), 10, 0.95, 0)


def test_the_latent_is_the_encoder_of_the_least_inner_error_in_each_fold():
    first, second = curve_table(0.5, 1, inner_mse=1.0), curve_table(0.5, 2, inner_mse=2.0)
    second.loc[second["fold"] == 3, "inner_mse"] = 0.5
    wide = curve_table(0.1, 3, inner_mse=0.01)
    found = inner_choice(
        {"pca": first, "autoencoder": second, "pca_all_images": wide, "raw_pixels": wide}
    )
    latent = found["latent"]
    assert len(latent) == len(first)
    assert set(latent.loc[latent["fold"] == 3, "encoder"]) == {"autoencoder"}
    assert set(latent.loc[latent["fold"] < 3, "encoder"]) == {"pca"}
    assert set(found["latent_all_images"]["encoder"]) == {"pca_all_images"}


def score_tables(lower: float = -0.3, upper: float = -0.1) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [("blocked", "latent", 0.6), ("blocked", "season", 0.1)]
    rows += [("blocked", "raw_pixels", 0.5), ("random", "raw_pixels", 0.8)]
    scores = pd.DataFrame(rows, columns=["scheme", "model", "estimate"])
    scores = scores.assign(metric="r2", lower=0.4, upper=0.7, samples=80)
    pairs = pd.DataFrame(
        [("blocked", "latent", "season", (lower + upper) / 2, lower, upper)],
        columns=["scheme", "model", "reference", "estimate", "lower", "upper"],
    )
    return scores, pairs


def run(tmp_path, curves: dict[str, pd.DataFrame], **pair) -> str:
    folder = tmp_path / "label_curves"
    for name, table in curves.items():
        write_table(table, folder / f"{name}.parquet")
    samples = pd.DataFrame({"sample": blocks().index, "day": np.arange(SAMPLES) * 3.0})
    write_table(samples, tmp_path / "prepared.parquet", {"long_name": "ozone aloft"})
    scores, pairs = score_tables(**pair)
    write_table(scores, tmp_path / "scores.csv")
    write_table(pairs, tmp_path / "comparisons.csv")
    summarise(
        prepared=tmp_path / "prepared.parquet",
        curves=sorted(folder.iterdir()),
        scores=tmp_path / "scores.csv",
        comparisons=tmp_path / "comparisons.csv",
        resamples=300,
        seed=1,
        label_curves=tmp_path / "label_curves.csv",
        label_differences=tmp_path / "label_differences.csv",
        output=tmp_path / "finding.txt",
    )
    return (tmp_path / "finding.txt").read_text()


def test_the_finding_says_first_what_wins(tmp_path):
    tables = {
        "pca": curve_table(0.4, 1, 1.0),
        "autoencoder": curve_table(0.6, 2, 2.0),
        "raw_pixels": curve_table(0.9, 3),
        "cnn": curve_table(0.4, 4),
        "oracle": curve_table(0.1, 5),
    }
    lines = run(tmp_path, tables).splitlines()
    assert lines[0].startswith("Ozone aloft, 50 labels: ")
    assert "an encoder in closed form comes first, no network: PCA, R² 0.8" in lines[0]
    assert "beats ridge regression on raw pixels" in lines[1]
    assert "is not told apart from the network trained end to end" in lines[1]
    assert "the latent is below this ceiling (difference -" in lines[2]
    assert "the images lower the error of season and hour" in lines[3]
    assert "would have claimed R² 0.80 of regression on raw pixels in place of 0.50" in lines[4]
    curve = read_table(tmp_path / "label_curves.csv", complete=["model", "labels", "train_r2"])
    assert set(curve["model"]) == {*tables, "latent"} and set(curve["labels"]) == {25, 50}
    pairs = read_table(tmp_path / "label_differences.csv", complete=["difference"])
    assert set(pairs["reference"]) == {"pca", "cnn", "raw_pixels", "oracle"}


def test_a_network_that_wins_is_said_to(tmp_path):
    tables = {"pca": curve_table(0.6, 1, 2.0), "autoencoder": curve_table(0.3, 2, 1.0)}
    assert "an autoencoder comes first: the autoencoder, R² 0.9" in run(tmp_path, tables)


def test_a_latent_above_the_oracle_is_not_said_to_be_below_a_ceiling(tmp_path):
    text = run(tmp_path, {"pca": curve_table(0.2, 1), "oracle": curve_table(0.6, 2)})
    assert "it is no ceiling here (difference +" in text and "below" not in text


def test_without_skill_the_finding_says_so_first(tmp_path):
    tables = {"pca": curve_table(1.3, 1), "season": curve_table(1.3, 2)}
    text = run(tmp_path, tables, lower=-0.1, upper=0.1)
    assert "Ozone aloft, 50 labels: no skill; the best model" in text.splitlines()[0]
    assert "no skill beyond season and hour is shown" in text


def test_the_finding_needs_no_latent():
    curves = pd.DataFrame(
        [("mean", 50, -0.01, -0.1, 0.0)], columns=["model", "labels", "estimate", "lower", "upper"]
    )
    empty = pd.DataFrame(columns=["model", "reference", "labels", "difference"])
    scores, pairs = score_tables()
    text = finding(scores.iloc[:0], pairs.iloc[:0], curves, empty, {}, "blocked")
    assert len(text.splitlines()) == 1 and "no skill" in text
