"""The report: what a run has found, as pages that open in any browser, without a network.

``build`` makes the pages from ``templates`` and ``assets``; what stands on a page of which study is
said in ``studies``.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """A file that a rule has marked for the report.

    Parameters
    ----------
    path
        The file, below the folder of results.
    category
        Title of the study, or of another page.
    dataset
        Its data set; None of what belongs to all of a study's.
    label
        What it is, in a few words.
    caption
        Its caption as HTML.
    """

    path: Path
    category: str
    dataset: str | None
    label: str
    caption: str

    @property
    def name(self) -> str:
        """Name of the figure or table, as its file is called."""
        return self.path.stem
