"""Write the default configuration with its meaning, and its JSON schema."""

import json
from pathlib import Path
from textwrap import wrap

import yaml
from pydantic import BaseModel

from casestudies.config import Config
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


def write(*, folder: Path) -> None:
    """Write config.yaml, the defaults with their meaning, and schema.json into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(_yaml(Config()), encoding="utf-8")
    write_json(Config.model_json_schema(), folder / "schema.json")


if __name__ == "__main__":
    main(write)
