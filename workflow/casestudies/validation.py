"""Checking of JSON that is handed over: settings of a step, models that a study has saved."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from casestudies.errors import InputError, nearest
from casestudies.files import digest

Model = TypeVar("Model", bound=BaseModel)


def read_settings(kind: type[Model], given: str | Mapping[str, Any], what: str) -> Model:
    """Return settings from JSON or from a mapping; what is not given has its default.

    Parameters
    ----------
    what
        Whose settings they are, for the message.

    Raises
    ------
    InputError
        If a key is unknown or a value out of range.
    """
    try:
        if isinstance(given, str):
            return kind.model_validate_json(given)
        return kind.model_validate(given)
    except ValidationError as error:
        where, message = _first(error, "settings")
        hint = nearest(where, kind.model_fields)
        raise InputError(f"{what}: {where}: {message.lower()}; {hint}") from error


def read_saved(path: Path, kind: type[Model], study: str, remedy: str) -> Model:
    """Return what the JSON file of a saved model says.

    Parameters
    ----------
    remedy
        Which file or folder to give instead, to complete a message.

    Raises
    ------
    InputError
        If the file is missing, not JSON, not a model of this study, of a later format or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {remedy}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise InputError(f"{path}: not a JSON file ({error}); {remedy}") from error
    if not isinstance(content, dict) or content.get("study") != study:
        raise InputError(f"{path}: not a model of the {study} study; {remedy}")
    if content.get("format") != 1:
        raise InputError(
            f"{path}: format is {content.get('format')!r}, and this version reads format 1; make "
            "the model again, or use the version of casestudies that wrote it."
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        where, message = _first(error, "the file")
        raise InputError(f"{path}: {where}: {message}; {remedy}") from error


def check_part(path: Path, sha256: str | None, model: str, remedy: str) -> None:
    """Refuse a file of a saved model that is missing, or not the one that ``model`` tells of.

    Raises
    ------
    InputError
        If it is so.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {remedy}")
    if digest(path) != sha256:
        raise InputError(
            f"{path}: is not the file that {model} belongs to, or is damaged; copy the whole "
            "folder again."
        )


def _first(error: ValidationError, everything: str) -> tuple[str, str]:
    """Return where the first mistake is, and what it is."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])) or everything, first["msg"]
