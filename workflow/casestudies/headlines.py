"""What a run has found, in a few lines for the terminal."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

WIDTH = 100
"""Columns of the terminal that are used."""


def headlines(results: Path, studies: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the headline of each study's findings, wrapped for the terminal.

    Where the headline holds no number, the line that it rests on follows. A study has a finding of
    its own, or one for each data set; without any it is left out.

    Parameters
    ----------
    results
        Folder of the results.
    studies
        The data sets of each study that was run, by its name.
    """
    lines = []
    for study, datasets in studies.items():
        files = {study: results / study / "finding.txt"}
        if not files[study].is_file():
            files = {
                f"{study}, {name}": results / study / name / "finding.txt" for name in datasets
            }
        for name, path in files.items():
            if path.is_file():
                first, *rest = path.read_text(encoding="utf-8").splitlines()
                told = [first] if re.search(r"\d", first) else [first, *rest[:1]]
                lines += wrap(f"{name}: {' '.join(told)}", WIDTH, subsequent_indent="    ")
    return lines
