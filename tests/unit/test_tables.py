import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.tables import read_metadata, read_table, write_table


def test_metadata_and_values_come_back(tmp_path):
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", "y"]})
    write_table(frame, tmp_path / "t.parquet", {"units": {"a": "m"}})
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), frame)
    assert read_metadata(tmp_path / "t.parquet") == {"units": {"a": "m"}}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {"columns": ["yeer"]}, "column 'yeer' is missing"),
        ("year,b\n1,2\n", {"columns": ["yeer"]}, "did you mean 'year'?"),
        (
            "a,b\n1,\n2,3\n",
            {"complete": ["b"]},
            "column 'b' has 1 missing values, the first in row 1",
        ),
        ("", {}, "not a readable table"),
    ],
)
def test_bad_tables_are_explained(tmp_path, text, options, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_table(path, **options)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_broken_or_missing_parquet_file_is_explained(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="not a readable table"):
        read_table(tmp_path / "t.parquet")


STEP = """
import errno
from pathlib import Path
from casestudies.errors import InputError
from casestudies.steps import main
from casestudies.tables import writing

def step(*, count: int, output: Path) -> None:
    '''Write a file.

    Parameters
    ----------
    count
        How many things.
    '''
    if count < 0:
        raise InputError(f"count is {count}; give a number from 0 on.")
    with writing(output) as temporary:
        temporary.write_text("half")
        if count == 9:
            raise OSError(errno.ENOSPC, "No space left on device", str(output))

main(step)
"""


def run(tmp_path, *arguments):
    (tmp_path / "step.py").write_text(STEP)
    command = [sys.executable, str(tmp_path / "step.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("count", "status", "message"),
    [
        ("1", 0, ""),
        ("-1", 2, "error: count is -1; give a number from 0 on.\n"),
        ("x", 2, "error: "),
        ("9", 3, "error: {output}: cannot be written: the disk is full; free space and run again"),
    ],
)
def test_a_step_fails_with_one_message(tmp_path, count, status, message):
    output = tmp_path / "out.txt"
    done = run(tmp_path, "--count", count, "--output", str(output))
    assert done.returncode == status
    assert done.stderr.startswith(message.format(output=output)) and "Traceback" not in done.stderr
    assert output.exists() == (status == 0)
    assert not list(tmp_path.glob("*.part*"))


def test_help_comes_from_the_docstring(tmp_path):
    assert "How many things." in run(tmp_path, "--help").stdout
