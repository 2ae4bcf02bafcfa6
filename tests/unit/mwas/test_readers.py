"""Every layout of an abundance table gives the same table, and every fault one clear message."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import biom
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.mwas.readers import read_abundances, read_metadata_table

PHYLUM = "k__Bacteria|p__Bacteroidetes"
GENUS = f"{PHYLUM}|c__Bacteroidia|o__Bacteroidales|f__Bacteroidaceae|g__Bacteroides"
TAXA = [f"{GENUS}|s__Bacteroides_dorei", f"{GENUS}|s__Bacteroides_caccae"]
SAMPLES = ["s 1", "007", "a_profile"]
VALUES = np.array([[60.5, 20.0], [0.0, 99.9999], [1e-5, 50.0]])
EXPECTED = pd.DataFrame(VALUES, SAMPLES, TAXA)


def rows(names: list[str], extra: dict[str, np.ndarray] | None = None) -> list[list[str]]:
    """Return lines of taxa: the ranks above, the species, and what a layout has besides."""
    total = VALUES.sum(axis=1)
    columns = {"k__Bacteria": total, PHYLUM: total, GENUS: total}
    columns |= dict(zip(TAXA, VALUES.T, strict=True)) | (extra or {})
    return [[name, *names, *map(repr, values.tolist())] for name, values in columns.items()]


def write(path: Path, lines: list[list[str]], separator: str = "\t") -> Path:
    path.write_text("".join(separator.join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def metaphlan2(path: Path) -> None:
    second = ["#SampleID", *["Metaphlan2_Analysis"] * len(SAMPLES)]
    write(path, [["ID", *SAMPLES], second, *rows([])])


def metaphlan2_sample_id(path: Path) -> None:
    write(path, [["#SampleID", *SAMPLES], *rows([])])


def metaphlan3(path: Path) -> None:
    lines = rows(["2|976"], {"UNKNOWN": 100 - VALUES.sum(axis=1)})
    write(path, [["#mpa_v30_CHOCOPhlAn_201901"], ["clade_name", "NCBI_tax_id", *SAMPLES], *lines])


def metaphlan4(path: Path) -> None:
    strains = {f"{name}|t__SGB18{place}": VALUES[:, place] for place, name in enumerate(TAXA)}
    lines = rows([], {**strains, "UNCLASSIFIED": 100 - VALUES.sum(axis=1)})
    write(path, [["#mpa_vJun23_CHOCOPhlAnSGB_202307"], ["clade_name", *SAMPLES], *lines])


def samples_in_rows(path: Path) -> None:
    EXPECTED.to_csv(path, index_label="sample")


def sample_id_last(path: Path) -> None:
    EXPECTED.assign(sample_id=SAMPLES).to_csv(path, index=False)


def taxa_in_rows(path: Path) -> None:
    EXPECTED.T.to_csv(path, sep="\t", index_label="species")


def taxonomy() -> list[dict[str, list[str]]]:
    return [{"taxonomy": name.split("|")} for name in TAXA]


def biom_json(path: Path) -> None:
    table = biom.Table(VALUES.T, ["1", "2"], SAMPLES, taxonomy())
    path.write_text(table.to_json("test"))


def biom_hdf5(path: Path) -> None:
    table = biom.Table(VALUES.T, ["1", "2"], SAMPLES, taxonomy())
    with h5py.File(path, "w") as file:
        table.to_hdf5(file, "test")


def biom_without_taxonomy(path: Path) -> None:
    with h5py.File(path, "w") as file:
        biom.Table(VALUES.T, TAXA, SAMPLES).to_hdf5(file, "test")


LAYOUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "MetaPhlAn 2": (metaphlan2, "metaphlan2"),
    "MetaPhlAn 2, one header": (metaphlan2_sample_id, "metaphlan2"),
    "MetaPhlAn 3": (metaphlan3, "metaphlan3"),
    "MetaPhlAn 4": (metaphlan4, "metaphlan4"),
    "samples in rows": (samples_in_rows, "samples in rows"),
    "sample_id last": (sample_id_last, "samples in rows"),
    "taxa in rows": (taxa_in_rows, "taxa in rows"),
    "BIOM 1": (biom_json, "biom-json"),
    "BIOM 2": (biom_hdf5, "biom-hdf5"),
    "BIOM 2 without taxonomy": (biom_without_taxonomy, "biom-hdf5"),
}


@pytest.mark.parametrize("make, layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_gives_the_same_table(
    make: Callable[[Path], None], layout: str, tmp_path: Path
) -> None:
    path = tmp_path / "abundance.any"  # recognised by its content, whatever it is called
    make(path)
    frame, unit, found = read_abundances(path)
    pd.testing.assert_frame_equal(frame, EXPECTED, rtol=1e-12, check_names=False)
    assert (unit, found) == ("percent", layout)


@pytest.mark.parametrize("make", [metaphlan3, metaphlan4])
def test_what_has_no_name_is_left_out_and_said(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make(tmp_path / "table")
    read_abundances(tmp_path / "table")
    mean = 100 - VALUES.sum(axis=1).mean()
    assert f"with {mean:.3g} of the total" in caplog.text
    assert "2 species of" in caplog.text


UNITS = {
    "percent": (VALUES, "percent"),
    "proportion": (VALUES / 100, "proportion"),
    "counts": ((VALUES * 1e5).round(), "count"),
    "counts of little depth": (np.array([[3.0, 4.0], [1, 0], [0, 2]]), "count"),
    "per million": (VALUES * 1e4 + 0.5, "count"),
}


@pytest.mark.parametrize("values, unit", UNITS.values(), ids=UNITS.keys())
def test_the_unit_is_told_by_the_values(values: np.ndarray, unit: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame(values, SAMPLES, TAXA).to_csv(path, index_label="sample_id")
    frame, found, _ = read_abundances(path)
    assert found == unit
    np.testing.assert_allclose(frame, values)


def test_a_table_of_one_rank_is_kept_whatever_the_rank(tmp_path: Path) -> None:
    genera = [f"{GENUS}_{number}" for number in (1, 2)]
    pd.DataFrame(VALUES, SAMPLES, genera).to_csv(tmp_path / "t.csv", index_label="sample")
    assert list(read_abundances(tmp_path / "t.csv")[0]) == genera


def test_names_that_are_no_lineages_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", [["#OTU ID", *SAMPLES, "taxonomy"]])
    with path.open("a") as stream:
        stream.write("otu1\t1\t2\t3\tk__Bacteria; p__A\notu2\t0\t0\t1\tk__Bacteria\n")
    frame, unit, layout = read_abundances(path)
    assert (list(frame.columns), unit, layout) == (["otu1", "otu2"], "count", "taxa in rows")
    assert frame.loc["007"].tolist() == [2, 0]


def test_biom_features_that_share_a_lineage_keep_apart(tmp_path: Path) -> None:
    same = {"taxonomy": "k__Bacteria; p__Firmicutes; s__"}
    table = biom.Table(VALUES.T, ["x", "y"], SAMPLES, [same, same])
    (tmp_path / "t.biom").write_text(table.to_json("test"))
    frame, *_ = read_abundances(tmp_path / "t.biom")
    assert list(frame) == [f"k__Bacteria|p__Firmicutes|s__|{name}" for name in "xy"]


def test_lineages_with_semicolons_have_ranks_too(tmp_path: Path) -> None:
    names = ["d__Bacteria", "d__Bacteria;p__A;s__B c"]
    pd.DataFrame(VALUES, SAMPLES, names).to_csv(tmp_path / "t.csv", index_label="sample")
    assert list(read_abundances(tmp_path / "t.csv")[0]) == names[1:]


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.tuples(st.floats(0, 49), st.floats(1e-3, 49)), min_size=1, max_size=6),
    transposed=st.booleans(),
    separator=st.sampled_from([",", "\t"]),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[tuple[float, float]],
    transposed: bool,
    separator: str,
) -> None:
    table = pd.DataFrame(values, [f"s{number}" for number in range(len(values))], TAXA)
    path = tmp_path_factory.mktemp("any") / "table"
    (table.T if transposed else table).to_csv(path, sep=separator, index_label="x")
    frame, *_ = read_abundances(path)
    pd.testing.assert_frame_equal(frame, table, check_names=False)


# Faults ---------------------------------------------------------------------------------------


def put(value: object, sample: int = 1, taxon: int = 1) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        table = EXPECTED.astype(object)
        table.iloc[sample, taxon] = value
        table.to_csv(path, index_label="sample")

    return make


def named(samples: list[str], taxa: list[str]) -> Callable[[Path], None]:
    return lambda path: pd.DataFrame(VALUES, samples, taxa).to_csv(path, index_label="sample")


def text(content: str | bytes) -> Callable[[Path], None]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(raw) and None


def no_taxon(path: Path) -> None:
    EXPECTED.assign(**{TAXA[1]: np.nan}).to_csv(path, index_label="sample")


def with_metadata(path: Path) -> None:
    more = pd.DataFrame({"age": [1, 2, 3]}, SAMPLES)
    pd.concat([more, EXPECTED, EXPECTED.add_suffix("x")], axis=1).to_csv(path, index_label="s")


def two_ranks(path: Path) -> None:
    pd.DataFrame(VALUES, SAMPLES, ["k__A", "k__A|p__B"]).to_csv(path, index_label="sample")


def one_profile(path: Path) -> None:
    header = ["#clade_name", "NCBI_tax_id", "relative_abundance", "additional_species"]
    write(path, [["#mpa_v30"], header, ["k__Bacteria", "2", "100.0", ""]])


def broken_hdf5(path: Path) -> None:
    biom_hdf5(path)
    path.write_bytes(path.read_bytes()[:900])


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


def altered_json(key: str, value: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        biom_json(path)
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return make


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda path: None, "no such file"),
    "empty": (text(""), "is empty"),
    "only comments": (text("#a\n\n#b\n"), "is empty"),
    "only a header": (text("sample,a,b\n"), "holds 0 samples"),
    "only taxa": (text("#OTU ID\ts1\n"), "is empty"),
    "no taxa": (text("clade_name\tNCBI_tax_id\nk__Bacteria\t2\n"), "0 samples and 1 taxa"),
    "nothing named": (text("clade_name\ts1\nUNKNOWN\t100\n"), "holds 1 samples and 0 taxa"),
    "one column": (text("sample;a;b\ns1;1;2\n"), "has one column only; separate"),
    "a row too long": (text("sample,a\ns1,1\ns2,1,2\n"), "not a readable table.*saw 3"),
    "all rows too long": (text("sample,a\ns1,1,2\n"), "header has 2 fields, the row below it 3"),
    "a row too short": (text("sample,a,b\ns1,1,2\ns2,1\n"), "'b' in sample 's2' is missing"),
    "binary": (text(b"PK\x03\x04\x00\x00\x00"), "not a table in text"),
    "not in UTF-8": (text("sample,\xe9\ns1,1\n".encode("latin-1")), "not a readable table"),
    "negative": (put(-0.5), "dorei|caccae' in sample '007' is -0.5; abundances are not negative"),
    "missing": (put(""), "caccae' in sample '007' is missing; write 0"),
    "a code": (put("NA"), "caccae' in sample '007' is 'NA', not a number"),
    "a word": (put("high", 0, 0), "dorei' in sample 's 1' is 'high', not a number"),
    "true": (put("True"), "'True', not a number"),
    "infinite": (put("inf"), "'inf', not a number"),
    "a taxon without numbers": (no_taxon, "taxon '.*caccae' has a number in no sample"),
    "sample twice": (named(["a", "b", "a "], TAXA), "sample 'a' is there twice"),
    "taxon twice": (named(SAMPLES, ["x", "x"]), "taxon 'x' is there twice"),
    "no name of a sample": (named(["a", "", "b"], TAXA), "sample 2 has no name"),
    "metadata inside": (with_metadata, "'age' is no lineage"),
    "no species": (two_ranks, "holds kingdoms and phyla, but no species"),
    "profile of one sample": (one_profile, "merge_metaphlan_tables.py"),
    "JSON that ends early": (text('{"id": null,'), "not a readable BIOM table"),
    "JSON of another kind": (text('{"type": "FeatureCollection"}'), "not a readable BIOM table"),
    "JSON of another shape": (altered_json("data", [[9, 9, 1.0]]), "not a readable BIOM table"),
    "JSON without ids": (altered_json("columns", [{}, {}, {}]), "not a readable BIOM table"),
    "HDF5 cut off": (broken_hdf5, "not a readable BIOM table"),
    "HDF5 of another kind": (other_hdf5, "not a readable BIOM table"),
}


@pytest.mark.parametrize("make, message", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "abundance.tsv"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        read_abundances(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=80) | st.text(alphabet='s,\t\n#"1{}-.k_|', max_size=60))
def test_whatever_the_file_it_is_a_table_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.mktemp("any") / "table"
    text(content)(path)
    try:
        frame, unit, _ = read_abundances(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert np.isfinite(frame).all(axis=None) and (frame >= 0).all(axis=None)
        assert unit in ("percent", "proportion", "count")


# Metadata -------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", "\t"])
def test_metadata_are_text_without_codes(separator: str, tmp_path: Path) -> None:
    path = write(
        tmp_path / "m",
        [["sample_id ", "age"], ["007", " 40"], ["None", " -"], ["c", "ND"], ["d", ""]],
        separator,
    )
    frame = read_metadata_table(path)
    assert frame["sample_id"].tolist() == ["007", "None", "c", "d"]
    assert frame["age"].tolist()[0] == "40" and frame["age"].isna().tolist() == [False, *[True] * 3]


def test_metadata_may_come_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes("\ufeffsample_id,age\ns1,4\n".encode())
    assert list(read_metadata_table(tmp_path / "m.csv")) == ["sample_id", "age"]


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "is empty"),
        ("sample_id,age\n", "holds no row"),
        ("sample_id,age, age\na,1,2\n", "column 'age' is there twice"),
        ("sample_id,,age\na,1,2\n", "column 2 has no name"),
    ],
)
def test_a_fault_of_the_metadata_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_metadata_table(path)
    assert str(path) in str(caught.value)
