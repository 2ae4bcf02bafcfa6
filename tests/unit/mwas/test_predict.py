"""Prediction of new samples from a model that is a JSON file."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.files import write_json
from casestudies.mwas.abundance import Abundances
from casestudies.mwas.explain import export
from casestudies.mwas.models import AbundanceClassifier
from casestudies.mwas.predict import Calibration, match_taxa, predict, read_model

LINEAGE = "k__Bacteria|p__Phylum_{0}|g__Genus_{1}|s__Genus_{1}_species"
NAMES = [LINEAGE.format(k % 3, k) for k in range(20)]
CALIBRATION = Calibration(
    scheme="cv",
    slope=0.9,
    intercept=0.01,
    auc=0.8,
    auc_lower=0.7,
    auc_upper=0.9,
    samples=60,
    subjects=60,
)


def make_data(samples: int = 60) -> Abundances:
    rng = np.random.default_rng(0)
    target = np.arange(samples) % 2.0
    values = np.exp(rng.normal(size=(samples, len(NAMES)))) * (rng.random((samples, 20)) < 0.7)
    values[:, :3] *= np.exp(1.5 * target)[:, None]
    values[:, -1] += 1
    values[:, 5] = 0
    values[0, 5] = 1  # too rare for the model, yet a part of the total
    names = [f"s{k}" for k in range(samples)]
    table = pd.DataFrame({"sample": names, "subject": names, "cohort": "A", "disease": target})
    about = {"positive": "cancer", "negative": "healthy"}
    return Abundances(table, pd.DataFrame(values, columns=NAMES), [], about)


def fit(transform: str = "log", l1_ratio: float = 1.0, ratio: float = 0.1) -> AbundanceClassifier:
    data = make_data()
    model = AbundanceClassifier(transform, l1_ratio, ratio=ratio)
    return model.fit(data.taxa, data.samples["disease"].to_numpy())


def write_model(path: Path, model: AbundanceClassifier | None = None) -> Path:
    fitted = export("lasso_log", model or fit(), make_data(), CALIBRATION)
    write_json(fitted.model_dump(mode="json"), path)
    return path


def write_samples(path: Path, taxa: pd.DataFrame | None = None) -> pd.DataFrame:
    """A merged table of MetaPhlAn, taxa in rows, in percent."""
    taxa = make_data().taxa if taxa is None else taxa
    named = taxa.set_axis([f"s{k}" for k in range(len(taxa))])
    named.T.rename_axis("clade_name").to_csv(path, sep="\t")
    return taxa


@pytest.mark.parametrize("transform", ["log", "clr", "arcsine", "presence", "proportion"])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_the_file_gives_the_probabilities_of_the_model(
    tmp_path: Path, transform: str, l1_ratio: float
) -> None:
    model = fit(transform, l1_ratio, 0.1)
    path = write_model(tmp_path / "model.json", model)
    taxa = write_samples(tmp_path / "mine.tsv")
    predict(model=path, samples=tmp_path / "mine.tsv", output=tmp_path / "out.csv")
    done = pd.read_csv(tmp_path / "out.csv")
    assert list(done.columns) == ["sample", "probability", "log_odds"]
    expected = model.predict_proba(taxa)[:, 1]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(done["probability"], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        done["log_odds"], np.log(expected / (1 - expected)), rtol=0, atol=1e-9
    )


def test_unit_and_order_of_the_table_do_not_matter(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.json")
    taxa = write_samples(tmp_path / "a.tsv")
    write_samples(tmp_path / "b.tsv", 1000 * taxa[taxa.columns[::-1]])
    for name in "ab":
        predict(model=path, samples=tmp_path / f"{name}.tsv", output=tmp_path / f"{name}.csv")
    a, b = (pd.read_csv(tmp_path / f"{name}.csv") for name in "ab")
    np.testing.assert_allclose(a["probability"], b["probability"], atol=1e-12)


def test_missing_taxa_are_absent_and_extra_ones_count_in_the_total(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = fit()
    path = write_model(tmp_path / "model.json", model)
    taxa = make_data().taxa
    extra = LINEAGE.format(9, "Other")
    table = taxa.drop(columns=NAMES[0]).assign(**{extra: 5.0})
    write_samples(tmp_path / "mine.tsv", table)
    predict(
        model=path,
        samples=tmp_path / "mine.tsv",
        output=tmp_path / "out.csv",
        counts=tmp_path / "counts.csv",
    )
    # In the model's own table: the missing taxon is 0, and what is extra is some unused taxon.
    same = taxa.assign(**{NAMES[0]: 0.0})
    same[NAMES[5]] += 5.0
    expected = model.predict_proba(same)[:, 1]
    done = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(done["probability"], expected, atol=1e-12)
    found = pd.read_csv(tmp_path / "counts.csv").set_index("taxon")
    assert found.loc[NAMES[0], "matched"] == "missing"
    assert found.loc[[extra, NAMES[5]], "matched"].tolist() == ["extra", "extra"]
    assert found["matched"].value_counts().to_dict() == {"lineage": 18, "extra": 2, "missing": 1}
    assert found.loc[extra, "present"] == len(taxa)
    assert "18 matched by full lineage, 0 by species name; 1 are missing" in caplog.text
    assert "warning" not in caplog.text
    assert "calibration slope 0.90" in caplog.text


def test_a_species_is_found_under_other_higher_ranks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = fit()
    path = write_model(tmp_path / "model.json", model)
    taxa = make_data().taxa
    renamed = taxa.set_axis(
        [name.replace("p__Phylum", "p__Renamed") if k < 4 else name for k, name in enumerate(taxa)],
        axis=1,
    )
    write_samples(tmp_path / "mine.tsv", renamed)
    predict(model=path, samples=tmp_path / "mine.tsv", output=tmp_path / "out.csv")
    expected = model.predict_proba(taxa)[:, 1]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv")["probability"], expected)
    assert "15 matched by full lineage, 4 by species name; 0 are missing" in caplog.text


def test_lineages_go_before_species_and_a_shared_species_decides_nothing() -> None:
    wanted = ["k__A|s__X", "k__B|s__Y", "k__C|s__Z", "k__D|s__Z"]
    table = pd.DataFrame(
        [[1.0, 2.0, 3.0, 4.0]], columns=["k__A|s__X", "k__Q|s__X", "k__Q|s__Y", "k__Q|s__Z"]
    )
    matched = match_taxa(table, wanted)
    assert matched.how.tolist() == ["lineage", "species", "missing", "missing"]
    np.testing.assert_allclose(matched.proportions, [[0.1, 0.3, 0, 0]])
    assert matched.extra == ["k__Q|s__X", "k__Q|s__Z"]


def test_columns_of_one_species_are_added_up() -> None:
    table = pd.DataFrame([[1.0, 2.0, 7.0]], columns=["k__A; s__X", "k__B|s__X", "k__C|s__Y"])
    matched = match_taxa(table, ["k__Z|s__X", "k__C|s__Y"])
    np.testing.assert_allclose(matched.proportions, [[0.3, 0.7]])


def test_few_of_the_taxa_are_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_model(tmp_path / "model.json")
    write_samples(tmp_path / "mine.tsv", make_data().taxa[NAMES[12:]])
    predict(model=path, samples=tmp_path / "mine.tsv", output=tmp_path / "out.csv")
    assert "warning: the table holds" in caplog.text


def test_few_coefficients_are_warned_about_even_if_most_taxa_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_model(tmp_path / "model.json", fit("log", 1.0, 0.6))
    heavy = [taxon.name for taxon in read_model(path).taxa if abs(taxon.coefficient) > 0]
    assert 0 < len(heavy) < 8
    write_samples(tmp_path / "mine.tsv", make_data().taxa.drop(columns=heavy))
    predict(model=path, samples=tmp_path / "mine.tsv", output=tmp_path / "out.csv")
    assert "with 0 % of its coefficients" in caplog.text


def test_none_of_the_taxa_is_an_error(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.json")
    taxa = make_data().taxa
    taxa.columns = [f"k__Bacteria|s__Nobody_{k}" for k in range(20)]
    write_samples(tmp_path / "mine.tsv", taxa)
    with pytest.raises(InputError, match=r"mine\.tsv: none of the model's 19 taxa"):
        predict(model=path, samples=tmp_path / "mine.tsv", output=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_an_empty_sample_is_an_error() -> None:
    table = pd.DataFrame([[1.0], [0.0]], index=["a", "b"], columns=["s__X"])
    with pytest.raises(InputError, match="sample 'b' holds no taxon"):
        match_taxa(table, ["s__X"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "not a JSON file"),
        ("[1, 2]", "not a model of the mwas study"),
        ('{"weights": [1, 2]}', "not a model of the mwas study"),
        ('{"study": "mwas", "format": 2}', "format is 2, and this version reads format 1"),
        ('{"study": "mwas", "format": 1}', "Field required"),
    ],
)
def test_a_foreign_file_is_one_clear_message(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_model(path)
    assert "other.json" in str(error.value)


def test_a_missing_file_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_model(tmp_path / "model.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [("scale", 0.0), ("coefficient", "large"), ("coefficient", float("nan")), ("prevalence", 2.0)],
)
def test_a_damaged_model_names_the_field(tmp_path: Path, field: str, value: object) -> None:
    path = write_model(tmp_path / "model.json")
    content = json.loads(path.read_text())
    content["taxa"][3][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"taxa\.3\.{field}"):
        read_model(path)


def test_the_file_is_plain_json_and_says_what_it_rests_on(tmp_path: Path) -> None:
    content = json.loads(write_model(tmp_path / "model.json").read_text())
    assert content["format"] == 1
    assert (content["cases"], content["controls"], content["disease_prevalence"]) == (30, 30, 0.5)
    assert (content["positive"], content["negative"]) == ("cancer", "healthy")
    assert len(content["taxa"]) == 19
