"""The simulator of the MWAS study: people, species, reads, files."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from casestudies.errors import InputError
from casestudies.mwas.simulate import (
    FAMILIES,
    PARAMETERS,
    RANKS,
    VALUES,
    draw_reads,
    make_people,
    make_species,
    make_taxonomy,
    merged_table,
    simulate,
)

OPTIONS = {
    "cohorts": 3,
    "samples": 60,
    "taxa": 150,
    "associated": 12,
    "effect": 1.0,
    "confounded": 12,
    "seed": 0,
}
FILES = {"abundance.tsv", "metadata.csv", "truth.csv", "parameters.json"}


def digests(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}


def read_abundances(path: Path) -> pd.DataFrame:
    return pd.read_csv(path / "abundance.tsv", sep="\t", skiprows=1, index_col="clade_name")


def at_rank(table: pd.DataFrame, rank: str) -> pd.DataFrame:
    return table[table.index.str.rsplit("|", n=1).str[-1].str.startswith(f"{rank}__")]


def fine_units(table: pd.DataFrame) -> pd.DataFrame:
    """Percentages as whole multiples of 1e-5."""
    units = (table * 1e5).round()
    np.testing.assert_allclose(units, table * 1e5, atol=1e-3)
    return units.astype(np.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated")
    simulate(output=path, **OPTIONS)
    return path


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("default")
    simulate(output=path)
    return path


# Files ----------------------------------------------------------------------------------------


def test_same_seed_same_bytes_other_seed_other_data(folder, tmp_path):
    simulate(output=tmp_path / "again", **OPTIONS)
    simulate(output=tmp_path / "other", **{**OPTIONS, "seed": 1})
    first, again, other = (digests(p) for p in (folder, tmp_path / "again", tmp_path / "other"))
    assert set(first) == FILES
    assert first == again
    assert all(first[name] != other[name] for name in FILES)


def test_table_has_the_layout_of_merged_metaphlan_profiles(folder):
    first, header, *rows = (folder / "abundance.tsv").read_text(encoding="utf-8").splitlines()
    assert first.startswith("#mpa_v") and "CHOCOPhlAnSGB" in first and "\t" not in first
    samples = pd.read_csv(folder / "metadata.csv")["sample_id"]
    assert header.split("\t") == ["clade_name", *samples]
    for row in rows:
        ranks = [name[:3] for name in row.split("\t", 1)[0].split("|")]
        assert ranks == [f"{rank}__" for rank in RANKS[: len(ranks)]]
    leaves = [row.split("\t", 1)[0] for row in rows if "|t__" in row]
    assert leaves and all(leaf.rsplit("|", 1)[1].startswith("t__SGB") for leaf in leaves)


def test_every_rank_adds_up_to_100_and_to_its_parents(folder):
    table = fine_units(read_abundances(folder))
    for rank in RANKS:
        assert (at_rank(table, rank).sum() == 10**7).all(), rank
    for parent, child in pairwise(RANKS):
        below = at_rank(table, child)
        sums = below.groupby(below.index.str.rsplit("|", n=1).str[0]).sum()
        above = at_rank(table, parent)
        pd.testing.assert_frame_equal(sums.loc[above.index], above, check_names=False)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), taxa=st.integers(1, 12), samples=st.integers(1, 5))
def test_merged_table_adds_up_whatever_the_reads(seed, taxa, samples):
    rng = np.random.default_rng(seed)
    lineages, _ = make_taxonomy(taxa, rng)
    reads = rng.negative_binomial(0.2, 1e-4, (samples, taxa)) + (np.arange(taxa) == 0)
    names = [f"s{i}" for i in range(samples)]
    table = fine_units(merged_table(reads, lineages, names))
    assert (table.to_numpy() >= 0).all() and table.any(axis=1).all()
    for rank in RANKS:
        assert (at_rank(table, rank).sum() == 10**7).all()
    share = at_rank(table, "t").reindex(lineages).fillna(0).T.to_numpy() / 1e7
    np.testing.assert_allclose(share, reads / reads.sum(axis=1, keepdims=True), atol=1e-6)


def test_truth_names_the_species_of_the_table_and_their_roles(folder):
    truth = pd.read_csv(folder / "truth.csv")
    assert truth.columns.tolist() == ["taxon", "role", "disease_effect", "age_effect"]
    assert len(truth) == 150 and truth["taxon"].is_unique
    assert set(at_rank(read_abundances(folder), "s").index) <= set(truth["taxon"])
    counts = {"associated": 12, "confounded": 12, "neither": 126}
    assert truth["role"].value_counts().to_dict() == counts
    assert ((truth["disease_effect"] != 0) == (truth["role"] == "associated")).all()
    assert ((truth["age_effect"] != 0) == (truth["role"] == "confounded")).all()
    effects = truth.loc[truth["role"] == "associated", "disease_effect"]
    assert effects.abs().mean() == pytest.approx(1.0)
    assert (effects > 0).sum() == (effects < 0).sum()


def test_every_parameter_is_documented(folder):
    stored = json.loads((folder / "parameters.json").read_text(encoding="utf-8"))
    assert stored["options"] == OPTIONS
    assert {name: entry["value"] for name, entry in stored["parameters"].items()} == VALUES
    for name, parameter in PARAMETERS.items():
        assert parameter.unit and parameter.basis in {"gross", "adjusted", "assumption"}, name
        # Whoever reads an adjusted value sees from where it was moved.
        assert parameter.basis != "adjusted" or "was " in parameter.source, name
        assert parameter.basis != "gross" or parameter.source, name


# Names ----------------------------------------------------------------------------------------


def test_no_two_names_are_alike_for_thousands_of_species():
    lineages, genus = make_taxonomy(5000, np.random.default_rng(0))
    fields = pd.DataFrame([lineage.split("|") for lineage in lineages], columns=list(RANKS))
    epithets = fields["s"].str.rsplit("_", n=1).str[1]
    assert epithets.is_unique and fields["t"].is_unique
    # One genus is one number and lies in one family.
    assert fields.groupby(genus)["g"].nunique().eq(1).all()
    assert fields["g"].nunique() == len(set(genus))
    assert fields.groupby("g")["f"].nunique().eq(1).all()
    assert set(fields[list("kpcof")].agg("|".join, axis=1)) <= set(FAMILIES)


# People ---------------------------------------------------------------------------------------


def test_subjects_with_two_samples_have_one_label_and_one_age():
    people = make_people(3, 60, np.random.default_rng(0))
    sizes = people["subject_id"].value_counts()
    assert sizes.max() == 2 and (sizes == 2).sum() == 3 * round(VALUES["two_samples"] * 60)
    same = people.groupby("subject_id")[["disease", "age", "sex", "bmi", "cohort", "subject"]]
    assert same.nunique().eq(1).all().all()
    assert people["sample_id"].is_unique
    assert people["subject"].nunique() == people["subject_id"].nunique()


def test_metadata_are_those_of_a_user(folder):
    table = pd.read_csv(folder / "metadata.csv")
    assert table.columns[:4].tolist() == ["sample_id", "subject_id", "study_name", "disease"]
    assert table.columns[4:].tolist() == ["age", "sex", "bmi", "country"]
    assert set(table["disease"]) == {"case", "control"}
    gaps = table.isna().sum()
    assert gaps[["age", "sex", "bmi"]].sum() > 0
    assert gaps[["sample_id", "subject_id", "study_name", "disease", "country"]].sum() == 0
    assert table["age"].dropna().between(18, 90).all()
    assert table["study_name"].value_counts().eq(60).all()


def test_age_confounds_most_of_all_in_the_first_cohort():
    people = make_people(4, 2000, np.random.default_rng(0))
    mean = people.groupby(["cohort", "disease"])["age"].mean().unstack()
    gap = mean["case"] - mean["control"]
    np.testing.assert_allclose(gap[1:], VALUES["age_gap"], atol=1.5)
    assert gap[0] == pytest.approx(VALUES["age_gap_first"], abs=1.5)
    ages = [people.loc[people["disease"] == label, "age"] for label in ("case", "control")]
    auc = mannwhitneyu(*ages).statistic / np.prod([len(a) for a in ages])
    assert 0.6 < auc < 0.75
    share = people.groupby("cohort")["disease"].apply(lambda label: (label == "case").mean())
    assert share.max() - share.min() > 0.15


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), cohorts=st.integers(1, 6), samples=st.integers(4, 40))
def test_every_cohort_has_cases_and_controls(seed, cohorts, samples):
    people = make_people(cohorts, samples, np.random.default_rng(seed))
    assert len(people) == cohorts * samples
    assert people.groupby("cohort")["disease"].nunique().eq(2).all()


# Abundances -----------------------------------------------------------------------------------


def test_gross_statistics_are_near_those_of_the_published_tables(default):
    """Ranges around what the published tables of six tasks and seven cohorts show."""
    share = at_rank(read_abundances(default), "s").T.to_numpy()
    present = share > 0
    assert 0.65 < (~present).mean() < 0.8
    richness = present.sum(axis=1)
    assert 60 < np.median(richness) < 110 and np.percentile(richness, 95) > 1.25 * richness.mean()
    assert 15 < np.median(share.max(axis=1)) < 35
    common = present.mean(axis=0) > 0.05
    mean, variance = share[:, common].mean(axis=0), share[:, common].var(axis=0)
    assert np.median(variance / mean**2) > 8  # over-dispersed: a Poisson would be far below
    assert 1.5 < np.polyfit(np.log10(mean), np.log10(variance), 1)[0] < 2
    prevalence = present.mean(axis=0)
    assert np.corrcoef(np.log10(share.mean(axis=0)), prevalence)[0, 1] > 0.5
    assert (prevalence < 0.2).mean() > 0.35 and (prevalence > 0.9).mean() > 0.01


def test_species_of_a_genus_go_together(default):
    table = at_rank(read_abundances(default), "s")
    table = table[(table > 0).mean(axis=1) > 0.2]
    log = np.log(table.to_numpy().T + 1e-3)
    correlation = np.corrcoef((log - log.mean(axis=1, keepdims=True)).T)
    genus = table.index.str.split("|").str[5].to_numpy()
    same = genus[:, None] == genus
    np.fill_diagonal(same, False)
    apart = genus[:, None] != genus
    assert correlation[same].mean() > 0.05 > correlation[apart].mean() + 0.03


def log_shares(effect: float, confounded: int, seed: int, samples: int = 400) -> tuple:
    """Species, people and centred log shares of a large simulation."""
    rng = np.random.default_rng(seed)
    _, genus = make_taxonomy(100, rng)
    species = make_species(100, 10, effect, confounded, rng)
    people = make_people(3, samples, rng)
    reads = draw_reads(species, genus, people, rng)
    log = np.log(reads / reads.sum(axis=1, keepdims=True) + 1e-5)
    return species, people, log - log.mean(axis=1, keepdims=True)


def differences(people: pd.DataFrame, log: np.ndarray) -> np.ndarray:
    """Cases less controls, (M,), mean of the cohorts."""
    case = (people["disease"] == "case").to_numpy()
    cohorts = [(people["cohort"] == c).to_numpy() for c in people["cohort"].unique()]
    return np.mean([log[c & case].mean(0) - log[c & ~case].mean(0) for c in cohorts], axis=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_associated_species_change_in_the_direction_of_the_truth(seed):
    species, people, log = log_shares(2.0, 0, seed)
    found = differences(people, log)
    associated = species.role == "associated"
    assert (np.sign(found) == np.sign(species.disease))[associated].mean() >= 0.9
    # Not one: cohorts scatter around the effect, closure and zeros weaken it.
    assert np.corrcoef(found, species.disease)[0, 1] > 0.7
    assert np.abs(found[associated]).mean() > 3 * np.abs(found[~associated]).mean()


def small_p_values(people: pd.DataFrame, log: np.ndarray) -> float:
    """Share of species in which cases and controls differ with p < 0.05, mean of the cohorts.

    One sample per subject. Cohorts are tested one by one: ranks pooled over cohorts that differ in
    zeros and in their share of cases are not null even if the labels are.
    """
    single = ~people["subject"].duplicated().to_numpy()
    case = (people["disease"] == "case").to_numpy()
    shares = []
    for cohort in people["cohort"].unique():
        rows = single & (people["cohort"] == cohort).to_numpy()
        p = mannwhitneyu(log[rows & case], log[rows & ~case]).pvalue
        shares.append((p < 0.05).mean())
    return float(np.mean(shares))


def test_without_effect_cases_and_controls_differ_no_more_than_by_chance():
    # 0.05 expected. Species share factors, so the share scatters by 0.05 between seeds, 0.014 in
    # the mean of 12.
    shares = [small_p_values(*log_shares(0.0, 0, seed, 200)[1:]) for seed in range(12)]
    assert np.mean(shares) < 0.09
    with_effect = [small_p_values(*log_shares(2.0, 0, seed, 200)[1:]) for seed in range(12)]
    assert np.mean(with_effect) > 0.2


def test_age_alone_makes_confounded_species_differ():
    species, people, log = log_shares(0.0, 20, 0)
    found = differences(people, log)
    confounded = species.role == "confounded"
    assert (np.sign(found) == np.sign(species.age))[confounded].mean() >= 0.8
    # At equal age the difference is gone: regress it out within each cohort.
    decades = people["age"].to_numpy() / 10
    rest = log.copy()
    for c in people["cohort"].unique():
        rows = (people["cohort"] == c).to_numpy()
        x = decades[rows] - decades[rows].mean()
        rest[rows] -= np.outer(x, x @ log[rows] / (x @ x))
    left = differences(people, rest)
    assert np.abs(left[confounded]).mean() < 0.5 * np.abs(found[confounded]).mean()


def test_two_samples_of_a_subject_are_alike():
    _, people, log = log_shares(1.0, 0, 0)
    pairs = [rows for rows in people.groupby("subject").indices.values() if len(rows) == 2]
    own = np.mean([np.linalg.norm(log[a] - log[b]) for a, b in pairs])
    cohort = people["cohort"].to_numpy()
    others = [(a, c) for (a, _), (c, _) in pairwise(pairs)]
    other = np.mean([np.linalg.norm(log[a] - log[c]) for a, c in others if cohort[a] == cohort[c]])
    assert own < 0.85 * other


def test_a_gut_is_never_empty_however_rare_its_species():
    rng = np.random.default_rng(0)
    species = make_species(2, 0, 0.0, 0, rng)
    people = make_people(2, 50, rng)
    assert (draw_reads(species, [0, 0], people, rng).sum(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cohorts": 0}, "--cohorts"),
        ({"samples": 3}, "--samples"),
        ({"taxa": 0}, "--taxa"),
        ({"taxa": 10_000}, "--taxa"),
        ({"associated": -1}, "--associated"),
        ({"confounded": -1}, "--confounded"),
        ({"associated": 100, "confounded": 51}, "together"),
        ({"effect": -0.1}, "--effect"),
        ({"effect": float("nan")}, "--effect"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(wrong, named, tmp_path):
    with pytest.raises(InputError, match=named):
        simulate(output=tmp_path / "raw", **{**OPTIONS, **wrong})
    assert not (tmp_path / "raw").exists()
