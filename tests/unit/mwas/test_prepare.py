"""The prepared table from each kind of raw data, and one clear message for each fault."""

import logging
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import biom
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.datasets import DATASETS
from casestudies.errors import InputError
from casestudies.mwas import RAW_FILES
from casestudies.mwas.abundance import load
from casestudies.mwas.prepare import TASKS, prepare
from casestudies.tables import read_metadata

SAMPLES = [f"s{number}" for number in range(8)]
TAXA = [f"k__Bacteria|s__{name}" for name in ("a", "b", "c", "nowhere")]


def abundances() -> pd.DataFrame:
    values = np.random.default_rng(2).gamma(0.5, 10, (len(SAMPLES), len(TAXA)))
    values[:, 3] = 0
    return pd.DataFrame(values, SAMPLES, TAXA)


def metadata() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "height": [1.7, 1.8, "", 1.6, 1.7, 1.7, 1.9, 1.8],
            "sample_id": SAMPLES[::-1],
            "gender": ["female", "M", "", "f", "male", "male", "Female", "male"],
            "age": [40, 50, "NA", 60, 0, 44, 71, 38],
            "disease": [0, 1] * 4,
            "subject_id": ["p1", "p2", "p1", "p2", "", "p6", "p7", "p8"],
            "study_name": ["A"] * 4 + ["B"] * 4,
            "batch": [f"b{number}" for number in (1, 2, 1, 2, 1, 2, 1, 2)],
            "empty": [""] * 8,
        }
    )


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    abundances().to_csv(folder / "abundance.csv", index_label="sample")
    metadata().to_csv(folder / "metadata.csv", index=False)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "raw")


def run(folder: Path, **options: object) -> pd.DataFrame:
    output = folder.parent / "prepared.parquet"
    prepare(raw=folder, output=output, **{"reader": "tables", **options})
    return pd.read_parquet(output)


def edit(**columns: object) -> Callable[[Path], None]:
    """Put values into columns of the metadata; None takes a column out."""

    def apply(folder: Path) -> None:
        frame = metadata()
        for name, values in columns.items():
            if values is None:
                del frame[name]
            else:
                frame[name] = values
        frame.to_csv(folder / "metadata.csv", index=False)

    return apply


def test_the_prepared_table_has_the_columns_of_all(folder: Path) -> None:
    table = run(folder)
    covariates = ["age", "sex", "height", "batch"]
    assert list(table) == ["sample", "subject", "cohort", *covariates, "disease", *TAXA[:3]]
    assert table["sample"].tolist() == SAMPLES[::-1]
    assert table["subject"].tolist() == ["p1", "p2", "p1", "p2", "s3", "p6", "p7", "p8"]
    assert table["cohort"].tolist() == ["A"] * 4 + ["B"] * 4
    assert table["disease"].tolist() == [0.0, 1.0] * 4
    assert table["sex"].tolist()[:2] == ["female", "male"] and table["sex"].isna().sum() == 1
    assert table["age"].dtype == float and table["age"].tolist()[4] == 0  # an infant may be
    expected = abundances().loc[SAMPLES[::-1], TAXA[:3]]
    np.testing.assert_allclose(table[TAXA[:3]], expected)
    assert read_metadata(folder.parent / "prepared.parquet") == {
        "covariates": covariates,
        "positive": "1",
        "negative": "0",
        "defining": [],
        "abundance": "percent",
        "table": "samples in rows",
    }


def test_the_prepared_table_can_be_loaded(folder: Path) -> None:
    run(folder)
    loaded = load(folder.parent / "prepared.parquet")
    assert list(loaded.taxa) == TAXA[:3] and loaded.covariates == ["age", "sex", "height", "batch"]


def test_a_label_alone_is_enough(folder: Path) -> None:
    metadata()[["sample_id", "disease"]].to_csv(folder / "metadata.csv", index=False)
    table = run(folder)
    assert list(table) == ["sample", "subject", "cohort", "disease", *TAXA[:3]]
    assert (table["subject"] == table["sample"]).all() and set(table["cohort"]) == {"all"}


def as_tsv(folder: Path) -> None:
    abundances().T.to_csv(folder / "abundance.tsv", sep="\t", index_label="clade_name")
    metadata().to_csv(folder / "metadata.tsv", sep="\t", index=False)
    (folder / "metadata.csv").unlink()


def as_biom(folder: Path) -> None:
    table = biom.Table(abundances().to_numpy().T, TAXA, SAMPLES)
    (folder / "abundance.biom").write_text(table.to_json("test"))


@pytest.mark.parametrize("change", [as_tsv, as_biom])
def test_the_layout_makes_no_difference(folder: Path, change: Callable[[Path], None]) -> None:
    expected = run(folder)
    (folder / "abundance.csv").unlink()
    change(folder)
    pd.testing.assert_frame_equal(run(folder), expected)


LABELS = ["CRC", "control", "CRC", "control", "adenoma", "adenoma", "", "control"]


def test_named_labels_choose_the_samples(folder: Path) -> None:
    edit(disease=None, status=LABELS)(folder)
    table = run(folder, label="status", positive=["CRC"], negative=["control", "adenoma"])
    assert table["disease"].tolist() == [1, 0, 1, 0, 0, 0, 0]
    table = run(folder, label="status", positive=["CRC"], negative=["control"])
    assert table["disease"].tolist() == [1, 0, 1, 0, 0]
    about = read_metadata(folder.parent / "prepared.parquet")
    assert (about["positive"], about["negative"]) == ("CRC", "control")


def test_the_other_of_two_labels_are_the_controls(folder: Path) -> None:
    edit(disease=["yes", "no"] * 4)(folder)
    assert run(folder, positive=["yes"])["disease"].tolist() == [1, 0] * 4
    assert read_metadata(folder.parent / "prepared.parquet")["negative"] == "no"


def test_samples_of_one_table_only_are_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metadata()[1:].to_csv(folder / "metadata.csv", index=False)
    abundances()[2:].to_csv(folder / "abundance.csv", index_label="sample")
    assert run(folder)["sample"].tolist() == SAMPLES[6:1:-1]
    assert "2 samples of the metadata have no abundances; left out" in caplog.text
    assert "1 samples of the abundances have no metadata; left out" in caplog.text


def test_a_subject_with_both_labels_is_allowed_and_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(subject_id=["p", "p", *SAMPLES[2:]])(folder)
    assert run(folder)["subject"].tolist()[:2] == ["p", "p"]
    assert "1 subjects are both case and control, 'p' the first" in caplog.text


def test_a_subject_in_two_cohorts_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(subject_id=[*"abcdaefg"])(folder)
    run(folder)
    assert "1 subjects are in several cohorts, 'a' the first" in caplog.text


def test_text_with_many_values_is_no_covariate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = [f"s{number}" for number in range(40)]
    raw = tmp_path / "raw"
    raw.mkdir()
    pd.DataFrame(np.ones((40, 2)), names, ["a", "b"]).to_csv(raw / "abundance.csv")
    pd.DataFrame(
        {
            "sample_id": names,
            "disease": [0, 1] * 20,
            "many": [f"x{number % 20}" for number in range(40)],
            "few": [f"x{number % 19}" for number in range(40)],
            "age": ["", *range(1, 40)],
        }
    ).to_csv(raw / "metadata.csv", index=False)
    assert list(run(raw))[3:5] == ["age", "few"] and "many" not in run(raw)
    assert "'many' is text with 20 values; no covariate" in caplog.text
    assert "age (1), few (0)" in caplog.text


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(len(SAMPLES))), columns=st.permutations(range(len(TAXA))))
def test_the_order_of_the_abundances_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], columns: list[int]
) -> None:
    folder = write(tmp_path_factory.mktemp("any") / "raw")
    expected = run(folder)
    abundances().iloc[order, columns].to_csv(folder / "abundance.csv", index_label="sample")
    pd.testing.assert_frame_equal(run(folder)[list(expected)], expected)


# Faults ---------------------------------------------------------------------------------------


def taxa(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        change(abundances()).to_csv(folder / "abundance.csv", index_label="sample")

    return apply


def zero(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc["s3"] = 0
    return frame


def negative(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc["s3", TAXA[0]] = -1
    return frame


def second(folder: Path) -> None:
    shutil.copy(folder / "abundance.csv", folder / "abundance.tsv")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no abundances": (
        lambda folder: (folder / "abundance.csv").unlink(),
        r"needs one file abundance\.tsv or .*, and has none",
    ),
    "abundances twice": (second, r"and has abundance\.tsv, abundance\.csv"),
    "no metadata": (
        lambda folder: (folder / "metadata.csv").unlink(),
        r"needs one file metadata\.csv or metadata\.tsv, and has none",
    ),
    "empty metadata": (lambda folder: (folder / "metadata.csv").write_text(""), "is empty"),
    "empty abundances": (lambda folder: (folder / "abundance.csv").write_text(""), "is empty"),
    "no sample_id": (edit(sample_id=None), "'sample_id' is missing"),
    "no label": (edit(disease=None), "'disease' is missing; it has "),
    "a sample without name": (edit(sample_id=[*SAMPLES[:5], "", "x", "y"]), "row 6 has no sample"),
    "sample twice": (edit(sample_id=[*SAMPLES[:7], "s2"]), "metadata: sample 's2' is there twice"),
    "sample twice in the table": (
        taxa(lambda frame: pd.concat([frame, frame[:1]])),
        "sample 's0' is there twice",
    ),
    "taxon twice": (
        taxa(lambda frame: pd.concat([frame, frame[TAXA[1]]], axis=1)),
        "taxon '.*s__b' is there twice",
    ),
    "no overlap": (
        taxa(lambda frame: frame.rename(index=lambda name: f"{name}_profile")),
        "metadata name 's7' and 's6', the abundances 's0_profile' and 's1_profile'",
    ),
    "negative": (taxa(negative), "s__a' in sample 's3' is -1; abundances are not negative"),
    "a taxon without numbers": (
        taxa(lambda frame: frame.assign(**{TAXA[1]: np.nan})),
        "s__b' has a number in no sample",
    ),
    "a sample without taxa": (taxa(zero), "sample 's3' has no taxon, all are 0"),
    "three labels": (
        edit(disease=["a", "b", "c", "c"] * 2),
        "values 'a', 'b', 'c', not 0 and 1; say by the configuration key positive",
    ),
    "two labels in words": (edit(disease=["a", "b"] * 4), "'a', 'b', not 0 and 1"),
    "one class": (edit(disease=1), "leaves 8 cases and 0 controls"),
    "no label given": (edit(disease=""), "leaves 0 cases and 0 controls"),
    "age in days": (edit(age=14_600), "age of sample 's7' is '14600', not a number from 0 to 120"),
    "age in words": (edit(age="old"), "age of sample 's7' is 'old', not a number"),
    "a code for missing bmi": (edit(BMI=-9), "bmi of sample 's7' is '-9', not a number from 5"),
    "sex as a number": (edit(gender=1), "sex of sample 's7' is '1', not female or male"),
    "sex twice": (edit(sex="male"), "'gender' and 'sex' both give 'sex'"),
    "a taxon in the metadata": (
        edit(**{TAXA[0]: 1}),
        "s__a' is a column of the abundances and of the metadata",
    ),
}


@pytest.mark.parametrize("fault, message", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named(folder: Path, fault: Callable[[Path], None], message: str) -> None:
    fault(folder)
    with pytest.raises(InputError, match=message) as caught:
        run(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert not (folder.parent / "prepared.parquet").exists()


WRONG_OPTIONS = {
    "three labels, cases named": (
        {"label": "status", "positive": ["CRC"]},
        "'CRC', 'adenoma', 'control'; say by the configuration key negative",
    ),
    "a label that is not there": (
        {"label": "status", "positive": ["crc"], "negative": ["control"]},
        "has no value 'crc'",
    ),
    "a label of both": (
        {"label": "status", "positive": ["CRC"], "negative": ["control", "CRC"]},
        "'CRC' is both positive and negative",
    ),
    "a label that is misspelt": ({"label": "statsu"}, "did you mean 'status'"),
    "a covariate that is not there": (
        {"label": "status", "positive": ["CRC"], "negative": ["control"], "defining": ["heigt"]},
        "--defining: no covariate 'heigt' in .*; did you mean 'height'",
    ),
    "an unknown reader": ({"reader": "table"}, "--reader table: did you mean 'tables'"),
    "an unknown task": ({"reader": "pasolli2016", "task": "t3d"}, "--task t3d: did you mean"),
    "no task": ({"reader": "pasolli2016"}, "--task"),
}


@pytest.mark.parametrize("options, message", WRONG_OPTIONS.values(), ids=WRONG_OPTIONS.keys())
def test_a_wrong_option_is_named(folder: Path, options: dict, message: str) -> None:
    edit(disease=None, status=LABELS)(folder)
    with pytest.raises(InputError, match=message):
        run(folder, **options)


def test_another_column_may_not_be_called_as_the_target(folder: Path) -> None:
    edit(status=LABELS)(folder)
    with pytest.raises(InputError, match="column 'disease' is not the label, which is 'status'"):
        run(folder, label="status", positive=["CRC"], negative=["control"])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        run(tmp_path / "none")


def test_the_command_ends_in_one_message(folder: Path, tmp_path: Path) -> None:
    edit(disease=["a", "b"] * 4)(folder)
    command = [sys.executable, "-m", "casestudies.mwas.prepare", "--reader", "tables"]
    command += ["--raw", str(folder), "--output", str(tmp_path / "out.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    more = ["--positive", "a", "--negative", "b"]
    subprocess.run([*command, *more], capture_output=True, check=True)
    assert (tmp_path / "out.parquet").exists()


# Published layouts ----------------------------------------------------------------------------

MEMBER = """dataset_name\tQ\tQ\tQ
sampleID\tA-1\tA-2\tA-3
subjectID\ta-1\ta-1\ta-3
disease\tleaness\tobesity\tleaness
age\tnd\t0\t44
gender\t -\tmale\t-
bmi\t20.5\tna\t19
country\tdenmark\tdenmark\tdenmark
stage\tx\ty\tz
k__B|g__x_unclassified\t1.5\t0\t0
k__B|g__y|s__y_z\t98.5\t100\t100
k__B|g__y|s__none\t0\t0\t0
"""


def archive(folder: Path, member: str = MEMBER, name: str = "abundance_Obesity.txt") -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "abundance.zip", "w") as stored:
        stored.writestr(name, member)
    return folder


def test_the_archive_is_read_with_its_codes_for_missing_values(tmp_path: Path) -> None:
    table = run(archive(tmp_path / "raw"), reader="pasolli2016", task="obesity")
    expected = ["sample", "subject", "cohort", "age", "sex", "bmi", "country", "disease"]
    assert list(table) == [*expected, "k__B|g__x_unclassified", "k__B|g__y|s__y_z"]
    assert table["subject"].tolist() == ["a-1", "a-1", "a-3"]
    np.testing.assert_array_equal(table["age"], [np.nan, np.nan, 44])
    assert table["sex"].isna().tolist() == [True, False, True]
    assert table["disease"].tolist() == [0, 1, 0]
    about = read_metadata(tmp_path / "prepared.parquet")
    assert about["defining"] == ["bmi"] and about["positive"] == "obesity"
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["abundance.zip"]


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no archive": (lambda folder: folder.mkdir() or folder, "cannot read abundance_Obesity.txt"),
    "no member": (
        lambda folder: archive(folder, name="abundance_obesity.txt"),
        "cannot read abundance_Obesity.txt.*no item named",
    ),
    "no row of ages": (
        lambda folder: archive(folder, MEMBER.replace("age\t", "years\t")),
        "cannot read .*'age'",
    ),
    "words for numbers": (
        lambda folder: archive(folder, MEMBER.replace("98.5", "much")),
        "s__y_z' in sample 'A-1' is 'much', not a number",
    ),
    "negative": (
        lambda folder: archive(folder, MEMBER.replace("98.5", "-98.5")),
        "s__y_z' in sample 'A-1' is -98.5; abundances are not negative",
    ),
    "empty": (lambda folder: archive(folder, ""), "cannot read"),
}


@pytest.mark.parametrize("make, message", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_fault_of_the_archive_is_named(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(make(tmp_path / "raw"), reader="pasolli2016", task="obesity")


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (archive(tmp_path / "raw") / "abundance.zip").write_text("<html>")
    with pytest.raises(InputError, match="not a zip file"):
        run(tmp_path / "raw", reader="pasolli2016", task="obesity")


def cohorts(folder: Path) -> Path:
    folder.mkdir()
    rows = []
    for number, name in enumerate(RAW_FILES["crc-cohorts"][:-1]):
        names = [f"{number}{letter}" for letter in "abc"]
        table = pd.DataFrame({f"s__{number}": [1.0, 2, 3], "s__all": 5.0, "sample_id": names})
        table.to_csv(folder / name, index=False)
        study = name.removesuffix(".csv")
        rows += [
            (one, study, label, 60, "male", "NA", "AUT")
            for one, label in zip(names, ("CRC", "control", "adenoma"), strict=True)
        ]
    columns = ["sample_id", "study_name", "study_condition", "age", "gender", "BMI", "country"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "metadata.csv", index=False)
    return folder


def test_a_species_that_a_cohort_lacks_is_absent_there(tmp_path: Path) -> None:
    table = run(cohorts(tmp_path / "raw"), reader="crc-cohorts")
    assert len(table) == 14 and table["cohort"].nunique() == 7
    assert list(table)[3:7] == ["age", "sex", "country", "disease"]
    assert (table["s__all"] == 5).all()
    alone = table["s__3"].to_numpy()
    np.testing.assert_array_equal(np.flatnonzero(alone), [6, 7])
    np.testing.assert_array_equal(alone[6:8], [1, 2])


def test_a_missing_cohort_is_named(tmp_path: Path) -> None:
    (cohorts(tmp_path / "raw") / "YuJ_2015.csv").unlink()
    with pytest.raises(InputError, match=r"YuJ_2015\.csv: no such file"):
        run(tmp_path / "raw", reader="crc-cohorts")


def test_the_files_are_those_of_the_table_of_data_sets() -> None:
    for name in ("pasolli2016", "crc-cohorts"):
        assert {file.path for file in DATASETS[name].files} == set(RAW_FILES[name])


def test_what_is_published_is_verified(tmp_path: Path) -> None:
    folder = archive(tmp_path / "raw")
    with pytest.raises(InputError, match="not the published file"):
        run(folder, reader="pasolli2016", task="obesity", published="pasolli2016")


# samples, cases, taxa, missing values of the covariates (a column that is all missing is not there)
PUBLISHED = {
    "cirrhosis": (232, 118, 542, {"age": 0, "sex": 0, "bmi": 0, "country": 0}),
    "colorectal": (121, 48, 503, {"age": 0, "sex": 0, "bmi": 4, "country": 0}),
    "ibd": (110, 25, 443, {"age": 1, "sex": 0, "bmi": 0, "country": 0}),
    "obesity": (253, 164, 465, {"bmi": 0, "country": 0}),
    "t2d": (344, 170, 572, {"age": 0, "sex": 0, "bmi": 0, "country": 0}),
    "wt2d": (96, 53, 381, {"age": 0, "bmi": 0, "country": 0}),
}


@pytest.mark.published
@pytest.mark.parametrize("task", PUBLISHED)
def test_the_published_tasks_have_their_counts(task: str, mirror: Path, tmp_path: Path) -> None:
    samples, cases, taxa, missing = PUBLISHED[task]
    output = tmp_path / "prepared.parquet"
    raw = mirror / "pasolli2016"
    prepare(raw=raw, reader="pasolli2016", task=task, published="pasolli2016", output=output)
    data = load(output)
    assert len(data.samples) == samples and data.samples["disease"].sum() == cases
    assert data.taxa.shape == (samples, taxa)
    assert data.samples[data.covariates].isna().sum().to_dict() == missing
    np.testing.assert_allclose(data.taxa.sum(axis=1), 100, atol=1e-3)
    assert data.samples["subject"].is_unique
    assert read_metadata(output)["defining"] == (["bmi"] if task == "obesity" else [])


def test_the_published_tasks_are_all_tested() -> None:
    assert set(PUBLISHED) == set(TASKS)


@pytest.mark.published
def test_the_obese_and_the_lean_are_told_apart_by_bmi_alone(mirror: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared.parquet"
    prepare(raw=mirror / "pasolli2016", reader="pasolli2016", task="obesity", output=output)
    bmi = load(output).samples.groupby("disease")["bmi"]
    assert bmi.max()[0.0] < bmi.min()[1.0]


@pytest.mark.published
def test_the_published_cohorts_have_their_counts(mirror: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared.parquet"
    raw = mirror / "crc-cohorts"
    prepare(raw=raw, reader="crc-cohorts", published="crc-cohorts", output=output)
    data = load(output)
    assert len(data.samples) == 646 and data.samples["disease"].sum() == 326
    assert data.samples["cohort"].value_counts().to_dict() == {
        "YuJ_2015": 128,
        "ZellerG_2014": 114,
        "FengQ_2015": 107,
        "VogtmannE_2016": 104,
        "ThomasAM_2019_c": 80,
        "ThomasAM_2018b": 60,
        "ThomasAM_2018a": 53,
    }
    union = set()
    for name in RAW_FILES["crc-cohorts"][:-1]:
        union |= set(pd.read_csv(raw / name, nrows=0).columns) - {"sample_id"}
    assert len(union) == 883 and set(data.taxa) < union
    assert data.taxa.shape[1] == 857  # the others are in samples with adenoma only
    missing = {"age": 1, "sex": 0, "bmi": 13, "country": 0}
    assert data.samples[data.covariates].isna().sum().to_dict() == missing
