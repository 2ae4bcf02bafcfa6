"""Times with very many digits, and what training costs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.lecture.cost import PUBLISHED, collect, cost, in_words, published
from casestudies.lecture.magnitude import (
    AGE_OF_UNIVERSE,
    PARAMETERS,
    RATE,
    log10_ages,
    log10_seconds,
    searchable,
)
from casestudies.tables import write_table


@given(st.integers(1, 300))
def test_logarithms_agree_with_whole_numbers_where_these_can_be_held(count: int):
    seconds = 2**count / 10**10
    assert log10_seconds(count) == pytest.approx(np.log10(seconds), rel=1e-12, abs=1e-12)


def test_the_lectures_search_takes_longer_than_any_number_can_hold():
    # 175·10⁹ · log10 2 = 52 680 249 241.2, less 10 for the rate.
    assert log10_seconds(PARAMETERS) == pytest.approx(52_680_249_231.2, abs=0.1)
    assert log10_ages(PARAMETERS) == pytest.approx(log10_seconds(PARAMETERS) - 17.639, abs=0.01)


def test_one_more_parameter_is_one_too_many():
    count = searchable(AGE_OF_UNIVERSE)
    assert count == 91
    assert 2**count / RATE <= AGE_OF_UNIVERSE < 2 ** (count + 1) / RATE
    assert searchable(1.0) == 33


def test_the_published_table_is_converted():
    table = published().set_index("model")
    assert list(table.index) == list(PUBLISHED)
    assert table.loc["Transformer, base", "kwh"] == 27
    assert table.loc["architecture search", "co2e_kg"] == pytest.approx(284_019, abs=1)


def trained(folder: Path, name: str, joules: float | None) -> Path:
    facts = {
        "seconds": 2.0,
        "joules": joules,
        "co2e_kg": None if joules is None else joules / 1e8,
        "method": "not measured" if joules is None else "estimated",
        "country": "FRA",
    }
    path = folder / name
    write_table(pd.DataFrame({"a": [1]}), path, facts)
    return path


def test_costs_are_those_that_the_steps_have_stored(tmp_path: Path):
    plain = tmp_path / "glacier/one/predictions/cv/ridge.parquet"
    write_table(pd.DataFrame({"a": [1]}), plain, {"seconds": 1.0})
    paths = [
        plain,
        trained(tmp_path, "lecture/starts.parquet", 3.6e3),
        trained(tmp_path, "glacier/one/predictions/cv/net.parquet", 7.2e3),
        trained(tmp_path, "glacier/one/predictions/loyo/net.parquet", None),
    ]
    table = collect(paths, tmp_path)
    assert list(table["study"]) == ["glacier", "glacier", "lecture"]
    assert table["kwh"].sum() == pytest.approx(0.003)
    words = in_words(table)
    assert "3 training steps, 6 s" in words and "0.003 kWh" in words
    assert "1 could not be measured" in words and "9,000 times" in words
    cost(tables=paths, results=tmp_path, output=tmp_path / "c.csv", figure=tmp_path / "c.svg")
    assert len(pd.read_csv(tmp_path / "c.csv")) == 3


def test_a_machine_without_measurement_is_said(tmp_path: Path):
    path = trained(tmp_path, "lecture/starts.parquet", None)
    assert "no measurement" in in_words(collect([path], tmp_path))
    cost(tables=[path], results=tmp_path, output=tmp_path / "c.csv", figure=tmp_path / "c.svg")
    assert (tmp_path / "c.svg").is_file()


def test_a_missing_table_and_none_trained_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"no such file"):
        collect([tmp_path / "lecture/starts.parquet"], tmp_path)
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "a/b.parquet", {})
    with pytest.raises(InputError, match="energy"):
        collect([tmp_path / "a/b.parquet"], tmp_path)
