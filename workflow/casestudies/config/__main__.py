"""Write the default configuration with its meaning, and its JSON schema."""

import json
from pathlib import Path
from textwrap import wrap

import yaml
from pydantic import BaseModel

from casestudies.config import Config
from casestudies.config.schemes import SCHEMES
from casestudies.files import write_json
from casestudies.steps import main


def _yaml(config: Config) -> str:
    """Return the default configuration as YAML, each key preceded by its description."""

    def section(model: BaseModel, indent: int) -> list[str]:
        lines = []
        pad = "  " * indent
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            if field.description:
                text = " ".join(field.description.split())
                lines += [f"{pad}# {line}" for line in wrap(text, 98 - len(pad))]
            if isinstance(value, BaseModel):
                lines += [f"{pad}{name}:", *section(value, indent + 1)]
                continue
            plain = json.loads(model.model_dump_json(include={name}, exclude_none=False))[name]
            nested = isinstance(plain, dict | list) or None
            text = yaml.safe_dump(
                {name: plain},
                sort_keys=False,
                default_flow_style=None if nested else False,
                width=98,
            )
            lines += [pad + line for line in text.rstrip().splitlines()]
        return lines

    header = [
        "# The default configuration. Written by `python -m casestudies.config --folder config`;",
        "# override keys with --configfile, or here.",
    ]
    return "\n".join([*header, *section(config, 0)]) + "\n"


def _markdown(config: Config) -> str:
    """Return every key with its default and meaning, as Markdown."""

    def rows(model: BaseModel, prefix: str) -> list[str]:
        lines = []
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            if isinstance(value, BaseModel):
                lines += rows(value, f"{prefix}{name}.")
                continue
            plain = json.loads(model.model_dump_json(include={name}))[name]
            default = f"`{json.dumps(plain)}`" if not isinstance(plain, dict) else "see config.yaml"
            if len(default) > 60:
                default = "all"
            meaning = " ".join((field.description or "").split()).replace("<", "&lt;")
            lines.append(f"| `{prefix}{name}` | {default} | {meaning} |")
        return lines

    kinds = []
    for kind in SCHEMES:
        name = kind.model_fields["kind"].default
        kinds += [f"### {name}", "", " ".join((kind.__doc__ or "").split()), ""]
        kinds += ["| key | meaning |", "|---|---|"]
        for key, field in kind.model_fields.items():
            if key != "kind":
                kinds.append(f"| `{key}` | {' '.join((field.description or '').split())} |")
        kinds.append("")
    return "\n".join([_HEAD, *rows(config, ""), "", _SCHEMES, *kinds]).rstrip() + "\n"


_HEAD = """# Configuration

`config.yaml` holds the defaults. Change a value there, or put what differs into a file of its own
and name it with `--configfile` (dictionaries are merged, lists replaced); `published.yaml` is such
a file, and so is `full.yaml`, a large campaign ([what it takes](../docs/scale.md)). A mistake stops
the run at once and names the key, what is wrong and the nearest valid one.
Editors that read `schema.json` complete and check keys as you type.

This page, `config.yaml` and `schema.json` are written by `python -m casestudies.config --folder
config`.

| key | default | meaning |
|---|---|---|"""

_SCHEMES = """## Cross-validation schemes

`schemes` of a study maps names to schemes; `kind` says which. Intervals of scores resample, and
prediction intervals are calibrated by, the units that the scheme holds out.
"""


def write(*, folder: Path) -> None:
    """Write config.yaml (the defaults and their meaning), schema.json and README.md to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(_yaml(Config()), encoding="utf-8")
    (folder / "README.md").write_text(_markdown(Config()), encoding="utf-8")
    write_json(Config.model_json_schema(), folder / "schema.json")


if __name__ == "__main__":
    main(write)
