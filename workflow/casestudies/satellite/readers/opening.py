"""Opening of files, with one clear message for those that are empty, cut short or another format.

NetCDF is read by xarray through h5netcdf (NetCDF-4) or SciPy (NetCDF-3). Nothing needs the NetCDF
library.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from casestudies.errors import InputError


def check_file(path: Path) -> None:
    """Refuse a path that is no file, or an empty one."""
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    if path.stat().st_size == 0:
        raise InputError(
            f"{path}: the file is empty (zero bytes), as after a broken download; fetch it again, "
            "or remove it."
        )


def read_text(path: Path) -> str:
    """Return a text file's content, whatever its age and encoding."""
    check_file(path)
    content = path.read_bytes()
    if b"\0" in content[:4096]:
        raise InputError(f"{path}: a binary file, where a text file is expected.")
    if not content.strip():
        raise InputError(f"{path}: the file holds blank lines only; fetch it again, or remove it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a library raises on damaged data into one message that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # HDF5, Zarr and codecs raise what they like
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({reason}); it is cut short or damaged: fetch it again, or "
            "remove it."
        ) from error


@contextmanager
def open_dataset(path: Path, group: str | None = None) -> Iterator[xr.Dataset]:
    """Open a NetCDF file or a Zarr store lazily, with gaps as NaN and times decoded.

    Raises
    ------
    InputError
        If it is missing, empty, cut short or another format.
    """
    path = Path(path)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zmetadata")):
            raise InputError(f"{path}: a folder that is no Zarr store.")
        with reading(path):
            whole = (path / ".zmetadata").is_file()
            dataset = xr.open_zarr(path, chunks=None, consolidated=whole)
    else:
        check_file(path)
        with path.open("rb") as stream:
            start = stream.read(8)
        if start == b"\x89HDF\r\n\x1a\n":
            engine = "h5netcdf"
        elif start[:3] == b"CDF" and group is None:
            engine = "scipy"
        else:
            raise InputError(
                f"{path}: not a NetCDF file (it begins with {start!r}); is it another format, or "
                "an error page in place of a download?"
            )
        with reading(path):
            dataset = xr.open_dataset(path, engine=engine, group=group)
    with dataset:
        yield dataset


def files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return what matches in a folder, sorted by name; hidden files are not data.

    Raises
    ------
    InputError
        If the folder is missing or nothing matches.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder.")
    found = {path for pattern in patterns for path in folder.rglob(pattern)}
    visible = sorted(
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not visible:
        raise InputError(f"{folder}: holds no file {' or '.join(patterns)}.")
    return visible
