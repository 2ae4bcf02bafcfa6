"""What the tests share: checkouts in which the workflow runs, and the mirror of published data."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.checkout import ROOT as ROOT
from tests.checkout import Checkout, copy_checkout

# Tests run side by side on all cores, each on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes tells of what runs beside it, not of the code.
# CI draws the same examples each time: what it says is said of the change.
settings.register_profile("shared", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("shared")

_PLACES = {"test_run.py": -2, "test_cluster.py": -1, "test_pages.py": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In one process start with the slowest files, and look at their report last.

    On several, pytest-xdist starts with the files of most tests: these two side by side would take
    longer, since both fill the machine.
    """
    items.sort(key=lambda item: _PLACES.get(item.path.name, 0))


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


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id) -> Checkout:
    """A checkout in which the default workflow has run on small data, report and all.

    One for all processes that the tests run in: whichever asks first makes it, the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    done = folder / "finished.done"
    with FileLock(folder / "finished.lock"):
        if not done.exists():
            shutil.rmtree(folder / "finished", ignore_errors=True)
            (folder / "finished").mkdir()
            copy_checkout(folder / "finished").run()
            done.touch()
    return Checkout(folder / "finished")


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A checkout in which nothing has run."""
    return copy_checkout(tmp_path)


@pytest.fixture
def rerun(finished, tmp_path) -> Checkout:
    """A copy of the finished checkout, to be changed."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)


@pytest.fixture
def mount() -> Iterator[Callable[..., Path]]:
    """Mounts something at a folder while a test lasts; where that is forbidden, skips."""
    folders: list[Path] = []

    def mounted(folder: Path, *options: str) -> Path:
        folder.mkdir(exist_ok=True)
        command = ["mount", *options, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs the right to mount, as root: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mounted
    for folder in reversed(folders):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path, mount: Callable[..., Path]) -> Path:
    """A folder that is a disk of 256 kB."""
    return mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=256k", "tmpfs")


@pytest.fixture
def read_only(mount: Callable[..., Path]) -> Callable[[Path], Path]:
    """Makes a folder read-only, also to the superuser, while a test lasts."""
    return lambda folder: mount(folder, "--bind", "-o", "ro", str(folder))
