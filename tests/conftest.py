"""What the tests share: the root of the checkout and the mirror of published data."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Tests run side by side on all cores, each on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slowest file: the tests of a file stay in one process."""
    items.sort(key=lambda item: item.path.name != "test_run.py")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder that holds published data as <data set>/<file>."""
    folder = os.environ.get("CASESTUDIES_MIRROR")
    if not folder:
        pytest.skip(
            "set CASESTUDIES_MIRROR to a folder with the published files, <data set>/<file>; "
            "`snakemake download` fetches them into data/raw"
        )
    return Path(folder)


@pytest.fixture(scope="session")
def openfoam_installed() -> None:
    """OpenFOAM is installed; in CI it has to be."""
    from casestudies.errors import InputError
    from casestudies.wind.openfoam import environment

    try:
        environment()
    except InputError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
