"""What a contributor relies on: hooks, help texts, documented functions, commands of the pages."""

import ast
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from casestudies.sources import PACKAGE
from casestudies.steps import command_line
from tests.conftest import ROOT

MODULES = sorted(PACKAGE.rglob("*.py"))
STEPS = [path for path in MODULES if re.search(r"^    main\(\w+\)$", path.read_text(), re.M)]


def name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join([PACKAGE.name, *parts]).removesuffix(".__init__")


def test_hooks_run_the_environments_tools_and_agree_with_what_is_committed():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "snakefmt", "config"}
    files = {"python": "workflow/casestudies/steps.py", "snakefmt": "workflow/rules/report.smk"}
    for hook in hooks:
        assert hook["language"] == "system"
        if hook["id"] == "config":  # tests/unit/test_config.py compares what it writes
            continue
        python, *command = shlex.split(hook["entry"])
        assert python == "python"
        file = files["snakefmt" if hook["id"] == "snakefmt" else "python"]
        assert "files" not in hook or re.search(hook["files"], file)
        before = (ROOT / file).read_text()
        done = subprocess.run([sys.executable, *command, file], cwd=ROOT, capture_output=True)
        assert done.returncode == 0 and (ROOT / file).read_text() == before, done.stderr


@pytest.mark.parametrize("path", STEPS, ids=name)
def test_the_help_of_a_step_explains_every_option(path):
    function = re.search(r"^    main\((\w+)\)$", path.read_text(), re.M)[1]
    step = getattr(importlib.import_module(name(path)), function)
    out = io.StringIO()
    command = f"python -m {name(path).removesuffix('.__main__')}"
    command_line(step, command).help_print([], console=Console(file=out, width=200))
    text = out.getvalue()
    assert command in text and "System Message" not in text and "``" not in text
    options = re.findall(r"│ (?:[* ]  )?(--[\w-]+) +(?:[A-Z]+(?:\.\.\.)?)?(.*)│", text)
    assert len(options) >= 1
    for option, meaning in options:
        told = re.sub(r"\[(required|default: [^]]*)\]", "", meaning).strip()
        assert told, f"{command} {option} is not explained"


def _public(tree: ast.Module):
    """Functions, classes and methods without a leading underscore, with their owners."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_public_functions_are_documented_and_typed(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body, f"{path}: no docstring"
    for label, node in _public(tree):
        lines = node.end_lineno - node.lineno
        simple = "." in label and lines < 8  # a short method is told by its name and its class
        assert ast.get_docstring(node) or simple, f"{path}: {label} has no docstring"
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [one.arg for one in arguments if one.annotation is None]
            assert not set(bare) - {"self", "cls"}, f"{path}: {label}: untyped {bare}"
            assert node.returns is not None, f"{path}: {label} does not say what it returns"
