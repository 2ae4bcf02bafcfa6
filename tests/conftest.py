"""What the tests share: the mirror of published data, and skips that fail in CI."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def unavailable(reason: str) -> None:
    """Skip a test for want of something that can be had; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


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
