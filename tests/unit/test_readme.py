import re

import pytest

from casestudies.datasets import describe
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_data_sets_is_the_table():
    assert describe().strip() in (ROOT / "docs/published-data.md").read_text()


def test_each_command_stands_on_a_line_of_its_own_for_ci():
    script = (ROOT / ".ci/run").read_text()
    assert "command_with pytest" in script and "command_with snakemake" in script
    lines = [line for line in README.splitlines() if line.startswith("python -m pip install ")]
    assert [line.split()[-1] for line in lines] == ["snakemake", "pytest"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert links
    for link in links:
        assert link.startswith("https://") or (page.parent / link).exists(), link
