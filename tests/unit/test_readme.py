from casestudies.datasets import describe
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_the_table_of_data_sets_is_the_table():
    assert describe().strip() in README


def test_each_command_stands_on_a_line_of_its_own_for_ci():
    script = (ROOT / ".ci/run").read_text()
    assert "command_with pytest" in script and "command_with snakemake" in script
    lines = [line for line in README.splitlines() if line.startswith("python -m pip install ")]
    assert [line.split()[-1] for line in lines] == ["snakemake", "pytest"]


def test_linked_files_exist():
    import re

    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link
