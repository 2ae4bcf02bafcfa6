"""A SLURM cluster of one node, once for all tests of this folder."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.cluster.slurm import Cluster, missing


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster; in CI there has to be one."""
    if reason := missing():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # The configuration lies where SLURM looks for it, so there is one cluster at a time.
    lock = FileLock(Path(tempfile.gettempdir()) / "casestudies-slurm.lock")
    with lock, tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)  # munge wants a socket that everyone can reach
        one = Cluster(Path(folder))
        try:
            one.start()
            yield one
        finally:
            one.stop()
