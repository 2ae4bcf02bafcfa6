"""What makes a typed function a step: a command line, one clear message per error, progress."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import cyclopts
from tqdm import tqdm

from casestudies.errors import InputError, nearest
from casestudies.files import WriteError

T = TypeVar("T")
log = logging.getLogger("casestudies")


def main(function: Callable[..., Any]) -> None:
    """Run ``function`` from the command line that its signature and docstring describe.

    Exit status: 0 on success, 1 on an unexpected error (with a traceback), 2 on bad input or a
    wrong command line, 3 if a file cannot be written (one message each, no traceback).
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    module = sys.modules["__main__"].__spec__
    name = f"python -m {module.name.removesuffix('.__main__')}" if module else function.__name__
    app = command_line(function, name)
    try:
        app(error_formatter=lambda error: f"error: {error}", exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        sys.exit(2)
    except InputError as error:
        sys.exit(_fail(str(error), 2))
    except WriteError as error:
        sys.exit(_fail(str(error), 3))


def command_line(function: Callable[..., Any], name: str) -> cyclopts.App:
    """Return the command line, called ``name``, that signature and docstring of a step describe."""
    app = cyclopts.App(
        name=name,
        default_parameter=cyclopts.Parameter(negative=(), consume_multiple=True),
        help_format="rst",
    )
    app.default(function)
    return app


def _fail(message: str, status: int) -> int:
    try:
        print(f"error: {message}", file=sys.stderr)
    except OSError:  # the log is on the full disk, too
        print(f"error: {message}")
    return status


class GivenUp(BaseException):
    """What a thread works on is not wanted any more."""


_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


@contextmanager
def giving_up(event: threading.Event) -> Iterator[None]:
    """Let loops of this thread in :func:`unless_given_up` end by GivenUp once ``event`` is set."""
    token = _given_up.set(event)
    try:
        yield
    finally:
        _given_up.reset(token)


def unless_given_up(items: Iterable[T]) -> Iterator[T]:
    """Iterate until another thread has set the event of :func:`giving_up`."""
    event = _given_up.get()
    for item in items:
        if event is not None and event.is_set():
            raise GivenUp
        yield item


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, or a line every ten seconds in a log."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    items = unless_given_up(items)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total)
        return
    start = shown = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - shown >= 10:
            shown = now
            log.info("%s: %d of %s, %.0f s", label, done, total or "?", now - start)
    log.info("%s: %d done in %.1f s", label, done, time.monotonic() - start)


def seeded(models: Sequence[str], seeds: Sequence[int], known: Collection[str]) -> dict[str, int]:
    """Return the seed of each model that a step is asked to fit.

    Parameters
    ----------
    models, seeds
        What ``--models`` and ``--seeds`` name, in the same order.
    known
        Names of the models that there are.

    Raises
    ------
    InputError
        If a model is unknown or named twice, or there is not one seed for each.
    """
    for model in models:
        if model not in known:
            raise InputError(f"--models: unknown model {model!r}; {nearest(model, known)}")
        if models.count(model) > 1:
            raise InputError(f"--models: {model!r} is named twice; name each model once.")
    if len(models) != len(seeds):
        raise InputError(
            f"--seeds: {len(seeds)} seeds for {len(models)} models; give one for each model."
        )
    return dict(zip(models, seeds, strict=True))
