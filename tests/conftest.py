"""What the tests share: the root of the checkout and the mirror of published data."""

import os
import subprocess
from collections.abc import Callable, Iterator
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


@pytest.fixture
def mount() -> Iterator[Callable[..., Path]]:
    """Mounts something at a folder while a test lasts; where that is forbidden, skips but in CI."""
    folders: list[Path] = []

    def mounted(folder: Path, *options: str) -> Path:
        folder.mkdir(exist_ok=True)
        command = ["mount", *options, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            if os.environ.get("CI"):
                pytest.fail(done.stderr)
            pytest.skip(f"may not mount here: {done.stderr.strip()}")
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
