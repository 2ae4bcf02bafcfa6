"""Writing of files, atomically, and their digest.

A file takes its final name only when it is complete and on the disk, so that an interrupted step
leaves nothing that could be taken for a result.
"""

import errno
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from casestudies.errors import InputError

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free space and run again",
    errno.EDQUOT: "the disk quota is used up; free space and run again",
    errno.EFBIG: "it is larger than files may be here; raise the limit (ulimit -f) and run again",
    errno.EROFS: "its disk is read-only; run where you may write (snakemake --directory)",
    errno.EACCES: "you may not write there; change the permissions of its folder, or run elsewhere "
    "(snakemake --directory)",
}
_REMEDIES[errno.EPERM] = _REMEDIES[errno.EACCES]
_LEAST_FREE = 1 << 14  # bytes; with less, whatever failed did so for want of room
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(OSError):
    """A file cannot be written for a reason that the user can remove: the message says how."""

    def __str__(self) -> str:
        return (
            f"{self.filename}: cannot be written: {_REMEDIES[self.errno]}. Nothing of it was kept."
        )


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let the block fail with a WriteError that names ``path`` if the disk does not take it.

    Libraries report a full disk by errors of their own: with the system's number, with its words
    alone, or with neither, so that one has to look at the disk.
    """
    try:
        yield
    except (WriteError, InputError):
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        if number not in _REMEDIES:
            number = next((code for code in _FULL if os.strerror(code) in str(error)), None)
        if number is None and _is_full(path):
            number = errno.ENOSPC
        if number is None:
            raise
        raise WriteError(number, os.strerror(number), str(path)) from error


def _is_full(path: Path) -> bool:
    folder = Path(path).parent
    return folder.is_dir() and shutil.disk_usage(folder).free < _LEAST_FREE


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` if the block succeeds.

    The temporary name keeps the suffix, since many writers choose the format by it. On any error
    the temporary file is removed and ``path`` is left as it was; that of a process that was killed
    is removed the next time.

    Raises
    ------
    WriteError
        If the disk is full or must not be written to.
    """
    path = Path(path)
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
    owner = f"{socket.gethostname()}-{os.getpid()}"
    temporary = path.with_name(f".{path.stem}.{owner}.part{path.suffix}")
    try:
        with named(path):
            yield temporary
            # A network file system may tell only now that it is full.
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        discard(temporary)


def discard(path: Path) -> None:
    """Delete a file if it is there and may be deleted."""
    with suppress(OSError):  # a read-only disk refuses even what is not there
        path.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Delete what killed processes of this machine have left of ``path``."""
    start, end = f".{path.stem}.{socket.gethostname()}-", f".part{path.suffix}"
    with os.scandir(path.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(start) and e.name.endswith(end)]
    for name in names:
        owner = name.removeprefix(start).removesuffix(end)
        if owner.isdecimal() and not _is_running(int(owner)):
            discard(path.with_name(name))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def scratch(folder: Path, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array (numpy.memmap) in a file in ``folder``, its room on the disk reserved.

    Without that, a disk that fills up would end the process by a signal, without a word.

    Raises
    ------
    WriteError
        If there is no room.
    """
    import numpy as np

    path = Path(folder) / "array"
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with named(path), path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    return np.memmap(path, dtype, "r+", shape=shape)


def unwritable(paths: Iterable[str | Path]) -> WriteError | None:
    """Return what is in the way of the first of ``paths`` that could not be written, if any is."""
    known: dict[Path, bool] = {}
    for path in map(Path, paths):
        folder = next(parent for parent in path.absolute().parents if parent.is_dir())
        if folder not in known:
            known[folder] = os.access(folder, os.W_OK | os.X_OK)
        if not known[folder]:
            number = errno.EROFS if _is_read_only(folder) else errno.EACCES
            return WriteError(number, os.strerror(number), str(path))
    return None


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def write_json(value: Any, path: Path) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_netcdf(
    dataset: Any, path: Path, encoding: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write an xarray.Dataset as NetCDF, atomically.

    It is made in memory, since HDF5 brings the process down if the disk fills up under it.

    Parameters
    ----------
    encoding
        How variables are stored, as for :meth:`xarray.Dataset.to_netcdf`.
    """
    content = dataset.to_netcdf(engine="h5netcdf", encoding=encoding)
    with writing(path) as temporary:
        temporary.write_bytes(content)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
