"""Files are whole or not there, whatever the disk says."""

import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
import xarray as xr
from safetensors.numpy import save_file

from casestudies.errors import InputError
from casestudies.figures.style import figure
from casestudies.files import WriteError, named, scratch, write_json, write_netcdf, writing
from casestudies.satellite.images import Channel, ImageWriter
from casestudies.satellite.prepare import copy_images
from casestudies.tables import write_table
from casestudies.training.checkpoint import Checkpoint

NUMBERS = np.random.default_rng(0).random((256, 256))  # 512 kB, of which nothing can be saved


def weights(path: Path) -> None:
    with writing(path) as temporary:
        save_file({"weights": NUMBERS}, temporary)


def geotiff(path: Path) -> None:
    options = {"width": 256, "height": 256, "count": 1, "dtype": "float64"}
    place = rasterio.transform.from_origin(0, 0, 2, 2)
    with (
        writing(path) as temporary,
        rasterio.open(temporary, "w", driver="GTiff", transform=place, **options) as file,
    ):
        file.write(NUMBERS, 1)


def drawing(path: Path) -> None:
    with figure(path) as (_, axes):
        axes[0].plot(NUMBERS.ravel()[::4], NUMBERS.ravel()[1::4])


def image_series(path: Path) -> None:
    channels = [Channel("visible", "1", "reflectance", 0, 1)]
    axis = np.arange(256.0), {}
    with ImageWriter(path, channels, 5, axis, axis) as writer:
        for hour in range(5):
            writer.append(np.datetime64("2019-01-01T00") + np.timedelta64(hour, "h"), NUMBERS[None])


def copied_series(path: Path) -> None:
    source = path.parent.parent / "source.zarr"
    image_series(source)
    copy_images(source, path)


TABLE = pd.DataFrame(NUMBERS).rename(columns=str)
WRITERS: dict[str, Callable[[Path], None]] = {
    "table.parquet": lambda path: write_table(TABLE, path),
    "table.csv": lambda path: write_table(TABLE, path),
    "facts.json": lambda path: write_json(NUMBERS.tolist(), path),
    "flows.nc": lambda path: write_netcdf(xr.Dataset({"u": (("y", "x"), NUMBERS)}), path),
    "model.safetensors": weights,
    "wind.tif": geotiff,
    "figure.svg": drawing,
    "figure.png": lambda path: _large(path),
    "images.zarr": image_series,
    "copy.zarr": copied_series,
    "checkpoint.safetensors": lambda path: Checkpoint(path, "me").save(
        {"weights": torch.from_numpy(NUMBERS)}, {}
    ),
}


def _large(path: Path) -> None:
    with figure(path, size=(12, 12)) as (_, axes):
        axes[0].imshow(NUMBERS, interpolation="none")


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_leaves_what_was_there(small_disk, name):
    path = small_disk / name
    path.mkdir() if name.endswith("zarr") else path.write_text("old")
    (small_disk / "other").write_bytes(bytes(100_000))
    with pytest.raises(WriteError) as caught:
        WRITERS[name](path)
    assert str(caught.value).startswith(f"{path}: cannot be written: the disk is full; free space")
    assert {p.name for p in small_disk.iterdir()} == {name, "other"}
    assert path.is_dir() or path.read_text() == "old"


def test_a_scratch_file_reserves_its_room(small_disk):
    array = scratch(small_disk, (100, 100), np.float32)
    array[:] = 1
    assert array.sum() == 1e4
    with pytest.raises(WriteError, match=r"disk/array: cannot be written: the disk is full"):
        scratch(small_disk, (1000, 1000), np.float32)


LIMITED = """
import sys
from pathlib import Path
import pandas as pd
from casestudies.steps import main
from casestudies.tables import write_table

def step(*, output: Path) -> None:
    write_table(pd.DataFrame({"a": range(100_000)}), output)

main(step)
"""


def test_a_limit_of_the_size_of_files_is_named(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "--output", str(tmp_path / "t.csv")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3 and "ulimit -f" in done.stderr
    assert "Traceback" not in done.stderr and str(tmp_path / "t.csv") in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_log_on_the_full_disk_does_not_hide_the_message(small_disk):
    (small_disk / "other").write_bytes(bytes(262_144))
    command = [sys.executable, "-c", LIMITED, "--output", str(small_disk / "t.csv")]
    with (small_disk / "log").open("w") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    assert done.returncode != 0 and "the disk is full" in done.stdout
    assert {p.name for p in small_disk.iterdir()} == {"log", "other"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_what_must_not_be_written_is_named(tmp_path, monkeypatch, number):
    def refused(self, *_, **__):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(WriteError, match=r"t\.csv: cannot be written: .*snakemake --directory"):
        write_table(TABLE, tmp_path / "new" / "t.csv")


def test_a_read_only_disk_is_named(tmp_path, read_only):
    with pytest.raises(WriteError, match=r"t\.csv: cannot be written: its disk is read-only"):
        write_table(TABLE, read_only(tmp_path / "disk") / "t.csv")


def test_errors_of_the_block_stay_what_they_are(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("old")

    def fail(error: Exception) -> None:
        with writing(path) as temporary:
            temporary.write_text("half")
            raise error

    for error in (ValueError("wrong"), InputError("No space left on device, says the input")):
        with pytest.raises(type(error)) as caught:
            fail(error)
        assert caught.value is error
    assert [p.name for p in tmp_path.iterdir()] == ["t.txt"] and path.read_text() == "old"
    with pytest.raises(WriteError), named(tmp_path / "outer"), named(tmp_path / "inner"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from casestudies.files import writing\n"
        "with writing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "t.txt"
    for _ in range(2):  # also of the same name as before
        subprocess.run([sys.executable, "-c", script, str(path)], check=False)
        left = list(tmp_path.iterdir())
        assert len(left) == 1 and left[0].name.startswith(".t.") and left[0] != path
    alive = tmp_path / f".t.{socket.gethostname()}-{os.getppid()}.part.txt"
    elsewhere = tmp_path / ".t.another-machine-1.part.txt"
    for other in (alive, elsewhere):
        other.write_text("half")
    with writing(path) as temporary:
        temporary.write_text("whole")
    assert set(tmp_path.iterdir()) == {path, alive, elsewhere}
