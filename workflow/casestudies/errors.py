"""Errors that a user can mend, and the hints that go with them."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """A mistake in what the user supplied: the message names the file, the field and the remedy.

    A step that raises it prints the message alone, without a traceback, and exits with status 2.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint: the nearest valid name, or the list of valid names if none is near."""
    names = sorted(valid)
    match = get_close_matches(name, names, n=1, cutoff=0.6)
    if match:
        return f"did you mean {match[0]!r}?"
    return f"valid names: {', '.join(names)}" if names else "no name is valid here"
