"""Snakemake's way to the report of the studies: ``snakemake --reporter casestudies``.

Snakemake finds this package by its name, collects what rules have marked with ``report(...)``,
fills in the captions, and hands all over; ``casestudies.report`` makes the pages.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_report_plugins.reporter import ReporterBase
from snakemake_interface_report_plugins.settings import ReportSettingsBase


@dataclass
class ReportSettings(ReportSettingsBase):
    """Command line options, each after ``--report-casestudies-``."""

    path: Optional[Path] = field(  # noqa: UP045 - Snakemake reads the type in this form
        default=None,
        metadata={
            "help": "Where the report goes: a .zip to unpack, or a single .html.",
            "env_var": False,
            "required": True,
        },
    )


class Reporter(ReporterBase):
    """Hands Snakemake's records to the package."""

    def render(self) -> None:
        # Snakemake imports this module at every start: what takes time is imported here.
        from casestudies.errors import InputError
        from casestudies.report import Item
        from casestudies.report.build import build

        items = [
            Item(
                path=Path(record.path),
                category=category.name,
                dataset=None if subcategory.is_other else subcategory.name,
                label=str((record.labels or {}).get("figure", record.path.stem)),
                caption=record.caption,
            )
            for category, subcategories in self.results.items()
            for subcategory, records in subcategories.items()
            for record in records
        ]
        try:
            build(items, self.dag.workflow.config, self.settings.path)
        except InputError as error:
            raise WorkflowError(str(error)) from None
