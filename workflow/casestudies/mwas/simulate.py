"""Simulate gut metagenomes of cases and controls: the data set that needs no download.

The raw files are those of a user: a table of relative abundances in the layout of MetaPhlAn 4, and
metadata. Beside them ``truth.csv`` keeps what was simulated and ``parameters.json`` what each value
rests on. The names of genera and species are invented; the families are real, but the share of
species in each is only roughly that of a gut.

The model, for sample i of cohort c and species j of genus g, logarithms natural:

    η_ij = m_j + cohort_cj + disease_i (β_j + b_cj) + α_j (age_i − 55) / 10 + γ_ig + λ_j·h_i
    present if  q_j + r_i + k (η_ij − m_j) + u_ij > 0,   abundance w_ij = exp(η_ij + ε_ij)
    share = w_ij / Σ w over the species present,   reads ~ multinomial(depth_i, share)

m_j, the log abundance where present, is normal, so the spectrum of species is log-normal, and ε_ij
makes it over-dispersed. A species is truly absent with a probability that falls with its log
abundance: q_j rises with m_j, and η_ij moves it by k, so that an effect changes prevalence as well.
Finite depth adds the zeros of sampling. Species of one genus share the factor γ, all share two
factors h of the host, and r makes some guts richer. All of these are normal; two samples of a
subject share a part of each.

Disease acts on the ``associated`` species: half of the β_j are positive, half negative, their mean
size is ``effect``, and the cohorts scatter around it by b_cj. Age acts on the ``confounded``
species, and cases are older than controls, in the first cohort much older: whoever forgets age
finds the confounded species. Sex and body mass index change no species.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casestudies.errors import InputError
from casestudies.parameters import Parameter, values, write_parameters
from casestudies.steps import main
from casestudies.tables import write_table, writing

Array = NDArray[np.float64]

RANKS = "kpcofgst"
ROLES = ("associated", "confounded", "neither")
HEADER = "#mpa_vSimulated_CHOCOPhlAnSGB_000000"
_DECIMALS = 5  # of a percentage, as MetaPhlAn prints it
_REFERENCE_AGE = 55.0

# -------------------------------------------------------------------------------- parameters


# "gross": set to gross statistics of the published tables of Pasolli et al. 2016 and of the
# colorectal-cancer cohorts. "adjusted": moved until the simulated tables or the AUCs came near the
# published ones. No value is taken from a paper.
# fmt: off
PARAMETERS: dict[str, Parameter] = {
    # Species
    "species_per_genus": Parameter(3.0, "1", "assumption", "mean, before empty genera go"),
    "genus_size_shape": Parameter(0.7, "1", "assumption", "gamma: few genera hold many species"),
    "abundance_sd": Parameter(1.6, "log", "adjusted", "was 1.5; spread of mean abundances"),
    "presence_mean": Parameter(-1.25, "probit", "gross", "distribution of prevalence"),
    "presence_sd": Parameter(1.55, "probit", "gross", "distribution of prevalence"),
    "presence_abundance": Parameter(
        0.5, "1", "gross", "correlation of prevalence and log mean"),
    "presence_slope": Parameter(
        0.25, "probit per log", "adjusted", "k, was 0.4; AUC of lasso"),
    # Samples
    "residual_sd": Parameter(
        1.0, "log", "adjusted", "was 1.4; spread of one species where present"),
    "genus_sd": Parameter(1.0, "log", "adjusted", "was 0.7; correlation within genera"),
    "host_sd": Parameter(
        0.6, "log", "adjusted", "was 0.4; mean size of correlations between genera"),
    "richness_sd": Parameter(0.4, "probit", "adjusted", "was 0; spread of species per sample"),
    "cohort_sd": Parameter(
        0.7, "log", "adjusted", "was 0.4; distances between and within cohorts"),
    "subject_share": Parameter(
        0.6, "1", "assumption", "share of variance that two samples of a subject have in common"),
    "depth_median": Parameter(1e6, "reads", "gross", "smallest abundances; reads on markers"),
    "depth_log_sd": Parameter(0.5, "log", "assumption", ""),
    # Disease and age
    "effect_shape": Parameter(
        10.0, "1", "adjusted", "was 4; gamma: sizes of effects; AUC alike between seeds"),
    "heterogeneity": Parameter(
        0.4, "1", "assumption", "spread between cohorts, relative to the effect"),
    "least_prevalence": Parameter(
        0.1, "1", "assumption", "rarer species have no effect while enough others are there"),
    "age_effect": Parameter(
        1.2, "log per decade", "adjusted",
        "was 0.5, too little to mislead a classifier; mean size, likely above that of real guts"),
    "age_sd": Parameter(11.0, "a", "gross", "within a class of a cohort"),
    "age_cohort_sd": Parameter(4.0, "a", "assumption", "mean ages of cohorts"),
    "age_gap": Parameter(6.0, "a", "assumption", "cases less controls"),
    "age_gap_first": Parameter(14.0, "a", "assumption", "the same in the first cohort"),
    "cases_least": Parameter(0.38, "1", "assumption", "share of cases, lowest of the cohorts"),
    "cases_most": Parameter(0.62, "1", "assumption", "share of cases, highest of the cohorts"),
    "bmi_mean": Parameter(25.5, "kg m-2", "assumption", ""),
    "bmi_sd": Parameter(4.0, "kg m-2", "assumption", ""),
    "two_samples": Parameter(0.08, "1", "assumption", "second samples, of all"),
    "missing_age": Parameter(0.03, "1", "assumption", ""),
    "missing_sex": Parameter(0.02, "1", "assumption", ""),
    "missing_bmi": Parameter(0.08, "1", "assumption", ""),
}
# fmt: on
VALUES = values(PARAMETERS)

COUNTRIES = ("AUT", "CHN", "DEU", "FRA", "ITA", "JPN", "SWE", "USA", "ESP", "DNK")

# ---------------------------------------------------------------------------------- taxonomy

_CLOSTRIDIA = "k__Bacteria|p__Firmicutes|c__Clostridia|o__Eubacteriales|f__"
_BACTEROIDALES = "k__Bacteria|p__Bacteroidetes|c__Bacteroidia|o__Bacteroidales|f__"
_GAMMA = "k__Bacteria|p__Proteobacteria|c__Gammaproteobacteria|o__"
_ACTINO = "k__Bacteria|p__Actinobacteria|c__"
# A family and the weight with which a genus falls into it.
FAMILIES: dict[str, int] = {
    f"{_CLOSTRIDIA}Lachnospiraceae": 24,
    f"{_CLOSTRIDIA}Oscillospiraceae": 18,
    f"{_CLOSTRIDIA}Clostridiaceae": 8,
    f"{_CLOSTRIDIA}Eubacteriaceae": 4,
    "k__Bacteria|p__Firmicutes|c__Bacilli|o__Lactobacillales|f__Lactobacillaceae": 4,
    "k__Bacteria|p__Firmicutes|c__Bacilli|o__Lactobacillales|f__Streptococcaceae": 4,
    "k__Bacteria|p__Firmicutes|c__Negativicutes|o__Veillonellales|f__Veillonellaceae": 4,
    "k__Bacteria|p__Firmicutes|c__Erysipelotrichia|o__Erysipelotrichales|f__Erysipelotrichaceae": 4,
    f"{_BACTEROIDALES}Bacteroidaceae": 8,
    f"{_BACTEROIDALES}Prevotellaceae": 5,
    f"{_BACTEROIDALES}Rikenellaceae": 3,
    f"{_BACTEROIDALES}Tannerellaceae": 2,
    f"{_ACTINO}Coriobacteriia|o__Coriobacteriales|f__Coriobacteriaceae": 4,
    f"{_ACTINO}Actinomycetia|o__Bifidobacteriales|f__Bifidobacteriaceae": 3,
    f"{_GAMMA}Enterobacterales|f__Enterobacteriaceae": 4,
    f"{_GAMMA}Pasteurellales|f__Pasteurellaceae": 1,
    "k__Bacteria|p__Fusobacteria|c__Fusobacteriia|o__Fusobacteriales|f__Fusobacteriaceae": 1,
    "k__Bacteria|p__Verrucomicrobia|c__Verrucomicrobiae|o__Verrucomicrobiales|f__Akkermansiaceae": 1,  # noqa: E501
    "k__Archaea|p__Euryarchaeota|c__Methanobacteria|o__Methanobacteriales|f__Methanobacteriaceae": 1,  # noqa: E501
}
# fmt: off
_FIRST = (
    "bal", "cor", "dum", "fen", "gal", "hol", "jun", "kel", "lor", "mab", "nev", "orv", "pel",
    "quin", "rus", "sov", "tal", "urv", "vel", "wes",
)
_MIDDLE = (
    "ada", "ebi", "ido", "ofi", "una", "age", "eli", "iru", "osta", "uvi", "alo", "eni", "ira",
    "omu", "uxa", "are", "eto", "ila", "oke", "upo",
)
_GENUS = (
    "bacter", "bium", "coccus", "ella", "monas", "spira", "thrix", "vibrio",
)
_EPITHET = (
    "alis", "ans", "ata", "ensis", "icola", "ifera", "ilis", "inum", "oides", "orum", "osa",
    "ula", "urica", "yticus",
)
# fmt: on


def _invent(endings: tuple[str, ...], count: int, rng: np.random.Generator) -> list[str]:
    """Return ``count`` different words."""
    shape = (len(_FIRST), len(_MIDDLE), len(endings))
    chosen = np.unravel_index(rng.choice(np.prod(shape), count, replace=False), shape)
    return [_FIRST[a] + _MIDDLE[b] + endings[c] for a, b, c in zip(*chosen, strict=True)]


def make_taxonomy(taxa: int, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Invent species.

    Returns
    -------
    Lineages down to the rank of the SGB (``k__…|s__…|t__SGB…``), one per species, and the number of
    the genus of each.
    """
    genera = max(round(taxa / VALUES["species_per_genus"]), 1)
    size = rng.gamma(VALUES["genus_size_shape"], size=genera)
    genus = np.sort(rng.choice(genera, taxa, p=size / size.sum()))
    weight = np.array(list(FAMILIES.values()), dtype=float)
    families = rng.choice(list(FAMILIES), genera, p=weight / weight.sum())
    names = [word.capitalize() for word in _invent(_GENUS, genera, rng)]
    epithets = _invent(_EPITHET, taxa, rng)
    bins = rng.choice(99_999, taxa, replace=False) + 1
    lineages = [
        f"{families[g]}|g__{names[g]}|s__{names[g]}_{epithet}|t__SGB{number}"
        for g, epithet, number in zip(genus, epithets, bins, strict=True)
    ]
    return lineages, genus.tolist()


# ------------------------------------------------------------------------------------ people


def make_people(cohorts: int, samples: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the samples of all cohorts, without a missing value.

    Returns
    -------
    One row per sample: sample_id, subject_id, study_name, disease, age (years), sex, bmi (kg m-2),
    country, and the numbers ``cohort`` and ``subject`` (0, 1, …).
    """
    v = VALUES
    share = rng.permutation(np.linspace(v["cases_least"], v["cases_most"], cohorts))
    centre = rng.normal(_REFERENCE_AGE, v["age_cohort_sd"], cohorts)
    female = rng.uniform(0.35, 0.65, cohorts)
    second = round(v["two_samples"] * samples)
    tables = []
    for c in range(cohorts):
        n = samples - second
        case = rng.permutation(np.arange(n) < round(share[c] * n))
        gap = v["age_gap"] if c else v["age_gap_first"]
        age = rng.normal(centre[c] + gap * (case - 0.5), v["age_sd"]).clip(18, 90)
        people = pd.DataFrame(
            {
                "subject_id": [f"C{c + 1:02d}P{i + 1:04d}" for i in range(n)],
                "study_name": f"Cohort_{c + 1:02d}",
                "disease": np.where(case, "case", "control"),
                "age": age.round(),
                "sex": np.where(rng.random(n) < female[c], "female", "male"),
                "bmi": rng.normal(v["bmi_mean"], v["bmi_sd"], n).clip(16, 50).round(1),
                "country": COUNTRIES[c % len(COUNTRIES)],
                "cohort": c,
                "subject": np.arange(n) + c * n,
            }
        )
        again = rng.choice(n, second, replace=False)
        chosen = rng.permutation(np.concatenate([np.arange(n), again]))
        people = people.iloc[chosen]
        people.insert(0, "sample_id", [f"C{c + 1:02d}S{i + 1:04d}" for i in range(samples)])
        tables.append(people)
    return pd.concat(tables, ignore_index=True)


def _with_gaps(people: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table with some covariates missing."""
    people = people.copy()
    for name in ("age", "sex", "bmi"):
        gaps = rng.random(len(people)) < VALUES[f"missing_{name}"]
        people[name] = people[name].mask(gaps)
    people["age"] = people["age"].astype("Int64")
    return people


# -------------------------------------------------------------------------------- abundances


@dataclass(frozen=True)
class Species:
    """What is true of each species, arrays of length M.

    Parameters
    ----------
    abundance
        Mean log abundance where present.
    presence
        Probit of the probability of being present.
    role
        One of ``ROLES``.
    disease
        Change of log abundance with the disease, mean of all cohorts.
    age
        Change of log abundance with ten years of age.
    """

    abundance: Array
    presence: Array
    role: NDArray[np.str_]
    disease: Array
    age: Array


def _effects(count: int, mean: float, rng: np.random.Generator) -> Array:
    """Draw effects of both signs whose sizes have exactly this mean."""
    size = rng.gamma(VALUES["effect_shape"], size=count)
    sign = rng.permutation(np.where(np.arange(count) % 2, -1.0, 1.0))
    return mean * sign * size / size.mean() if count else size


def make_species(
    taxa: int, associated: int, effect: float, confounded: int, rng: np.random.Generator
) -> Species:
    """Draw abundance, presence and effects of the species."""
    from scipy.stats import norm

    v = VALUES
    standard = rng.standard_normal(taxa)
    tied = v["presence_abundance"]
    presence = v["presence_mean"] + v["presence_sd"] * (
        tied * standard + np.sqrt(1 - tied**2) * rng.standard_normal(taxa)
    )
    # Those with an effect come from the common species, or from the commonest if these are few.
    common = np.argsort(-presence, kind="stable")
    enough = max(int((norm.cdf(presence) >= v["least_prevalence"]).sum()), associated + confounded)
    chosen = rng.permutation(common[:enough])[: associated + confounded]
    role = np.full(taxa, "neither", dtype="<U10")
    disease, age = np.zeros(taxa), np.zeros(taxa)
    role[chosen[:associated]] = "associated"
    role[chosen[associated:]] = "confounded"
    disease[chosen[:associated]] = _effects(associated, effect, rng)
    age[chosen[associated:]] = _effects(confounded, v["age_effect"], rng)
    return Species(v["abundance_sd"] * standard, presence, role, disease, age)


def draw_reads(
    species: Species, genus: list[int], people: pd.DataFrame, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the reads of each species in each sample, (N, M); every sample has some."""
    v = VALUES
    taxa = len(species.abundance)
    cohort, subject = people["cohort"].to_numpy(), people["subject"].to_numpy()
    case = (people["disease"] == "case").to_numpy(float)
    decades = (people["age"].to_numpy(float) - _REFERENCE_AGE) / 10

    def noise(columns: int) -> Array:
        """Standard normal, (N, columns), correlated between the samples of a subject."""
        own = rng.standard_normal((subject.max() + 1, columns))[subject]
        visit = rng.standard_normal((len(subject), columns))
        return np.sqrt(v["subject_share"]) * own + np.sqrt(1 - v["subject_share"]) * visit

    cohorts = cohort.max() + 1
    shift = v["cohort_sd"] * rng.standard_normal((cohorts, taxa))
    scatter = v["heterogeneity"] * np.abs(species.disease) * rng.standard_normal((cohorts, taxa))
    change = (
        shift[cohort]
        + case[:, None] * (species.disease + scatter[cohort])
        + decades[:, None] * species.age
        + v["genus_sd"] * noise(max(genus) + 1)[:, genus]
        + v["host_sd"] * noise(2) @ rng.standard_normal((2, taxa))
    )
    rich = v["richness_sd"] * noise(1)
    margin = species.presence + rich + v["presence_slope"] * change + noise(taxa)
    present = margin > 0
    present[np.arange(len(margin)), margin.argmax(axis=1)] = True  # no gut is empty
    weight = species.abundance + change + v["residual_sd"] * noise(taxa)
    weight = np.where(present, np.exp(weight), 0.0)
    depth = v["depth_median"] * np.exp(v["depth_log_sd"] * rng.standard_normal(len(weight)))
    return rng.multinomial(
        np.maximum(depth, 1).astype(np.int64), weight / weight.sum(axis=1, keepdims=True)
    )


# ------------------------------------------------------------------------------------- files


def merged_table(reads: NDArray[np.int64], lineages: list[str], samples: list[str]) -> pd.DataFrame:
    """Return the table of all ranks in percent, one row per clade, one column per sample.

    Percentages are whole multiples of 1e-5: those of a rank add up to 100, and those of the
    children to their parent. Clades seen in no sample are left out, as in merged profiles.
    """
    whole = 100 * 10**_DECIMALS
    units = np.rint(reads / reads.sum(axis=1, keepdims=True) * whole).astype(np.int64)
    # The most abundant species takes what rounding left over.
    units[np.arange(len(units)), units.argmax(axis=1)] += whole - units.sum(axis=1)
    fields = [lineage.split("|") for lineage in lineages]
    clades: dict[tuple[str, ...], NDArray[np.int64]] = {}
    for j in np.flatnonzero(units.any(axis=0)):
        for depth in range(1, len(RANKS) + 1):
            clade = tuple(fields[j][:depth])
            clades[clade] = clades.get(clade, 0) + units[:, j]
    order = sorted(clades)
    values = np.stack([clades[clade] for clade in order]) / 10**_DECIMALS
    index = pd.Index(["|".join(clade) for clade in order], name="clade_name")
    return pd.DataFrame(values, index=index, columns=samples)


# -------------------------------------------------------------------------------------- step


def _check(
    cohorts: int,
    samples: int,
    taxa: int,
    associated: int,
    effect: float,
    confounded: int,
    seed: int,
) -> None:
    """Refuse options that describe no data set."""
    most = len(_FIRST) * len(_MIDDLE) * len(_EPITHET)
    problems = (
        (cohorts < 1, f"--cohorts is {cohorts}; give at least 1"),
        (samples < 4, f"--samples is {samples}; give at least 4, so that both classes are there"),
        (not 1 <= taxa <= most, f"--taxa is {taxa}; give 1 to {most}"),
        (associated < 0, f"--associated is {associated}; give 0 or more"),
        (confounded < 0, f"--confounded is {confounded}; give 0 or more"),
        (
            associated + confounded > taxa,
            f"--associated {associated} and --confounded {confounded} are together more than "
            f"--taxa {taxa}; give fewer",
        ),
        (not 0 <= effect < np.inf, f"--effect is {effect}; give 0 or more"),
        (seed < 0, f"--seed is {seed}; give 0 or more"),
    )
    for wrong, message in problems:
        if wrong:
            raise InputError(f"simulate: {message}.")


def simulate(
    *,
    output: Path,
    cohorts: int = 4,
    samples: int = 70,
    taxa: int = 300,
    associated: int = 20,
    effect: float = 1.0,
    confounded: int = 20,
    seed: int = 0,
) -> None:
    """Write a simulated raw data set: abundance.tsv, metadata.csv, truth.csv, parameters.json.

    Parameters
    ----------
    output
        Folder to write to.
    cohorts
        Number of cohorts.
    samples
        Samples of each cohort.
    taxa
        Number of species; those that no sample shows are not in the table.
    associated
        Species whose abundance depends on the disease.
    effect
        Mean absolute change of their natural log abundance with the disease.
    confounded
        Species whose abundance depends on age, which differs between cases and controls.
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        If the options describe no data set; nothing is written then.
    """
    options = {key: value for key, value in locals().items() if key != "output"}
    _check(cohorts, samples, taxa, associated, effect, confounded, seed)
    # One stream each, so that an option of one part leaves the other parts as they are.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
    for_taxonomy, for_species, for_people, for_reads, for_gaps = streams

    lineages, genus = make_taxonomy(taxa, for_taxonomy)
    species = make_species(taxa, associated, effect, confounded, for_species)
    people = make_people(cohorts, samples, for_people)
    reads = draw_reads(species, genus, people, for_reads)

    table = merged_table(reads, lineages, people["sample_id"].tolist())
    with writing(output / "abundance.tsv") as temporary, temporary.open("w", newline="\n") as file:
        file.write(f"{HEADER}\n")
        table.to_csv(file, sep="\t", lineterminator="\n")
    metadata = _with_gaps(people, for_gaps).drop(columns=["cohort", "subject"])
    write_table(metadata, output / "metadata.csv")
    truth = pd.DataFrame(
        {
            "taxon": [lineage.rsplit("|", 1)[0] for lineage in lineages],
            "role": species.role,
            "disease_effect": species.disease,
            "age_effect": species.age,
        }
    )
    write_table(truth, output / "truth.csv")
    write_parameters(output / "parameters.json", options, PARAMETERS)


if __name__ == "__main__":
    main(simulate)
