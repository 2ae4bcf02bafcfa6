"""Readers of satellite images and of soundings.

Image readers take files and yield :class:`~casestudies.satellite.readers.frames.Frame`, one time
after the other, so that a year never is in memory. Sounding readers take a file and return a
:class:`~casestudies.satellite.readers.soundings.Sounding`. A file that is empty, cut short, of
another format or in impossible units is refused with one message that names it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from casestudies.satellite.readers import goes, gridded, shadoz, toms, tropomi, woudc
from casestudies.satellite.readers.frames import Frame
from casestudies.satellite.readers.soundings import Sounding

IMAGE_READERS: dict[str, tuple[Callable[..., Iterator[Frame]], tuple[str, ...]]] = {
    "goes": (goes.read_goes, goes.PATTERNS),
    "tropomi": (tropomi.read_tropomi, tropomi.PATTERNS),
    "seviri": (gridded.read_seviri, gridded.PATTERNS),
    "grid": (gridded.read_grid, gridded.PATTERNS),
    "toms": (toms.read_toms, toms.PATTERNS),
}
"""Reader of images and the names of its files."""

SOUNDING_READERS: dict[str, tuple[Callable[[Path], Sounding], tuple[str, ...]]] = {
    "woudc": (woudc.read_woudc, woudc.PATTERNS),
    "shadoz": (shadoz.read_shadoz, shadoz.PATTERNS),
}
"""Reader of soundings and the names of its files."""
