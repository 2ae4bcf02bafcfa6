import re
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

CONDA_NAMES = {"matplotlib-base": "matplotlib", "pytorch-cpu": "torch", "pytorch-gpu": "torch"}


def constraints():
    lines = (ROOT / "envs" / "constraints.txt").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("name", ["runner", "studies", "studies-gpu"])
def test_conda_environments_pin_what_pip_pins(name):
    pins = constraints()
    listed = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"]
    pip = [line for part in listed if isinstance(part, dict) for line in part["pip"]]
    for line in [*(line for line in listed if isinstance(line, str)), *pip]:
        package, _, version = line.replace("==", "=").partition("=")
        if package not in ("python", "pip"):
            assert pins[CONDA_NAMES.get(package, package)] == version, line


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.match(r"[\w.-]+", line)[0].lower() for lines in wanted for line in lines}
    assert names <= set(constraints())
    assert constraints()["torch"] == "2.13.0"
