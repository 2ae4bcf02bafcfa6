"""Which files of the package a step's result depends on, found from its imports."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def sources(module: str) -> list[Path]:
    """Return the package's files that ``module`` imports, itself included, transitively.

    Read from the syntax alone, without importing anything, so that a workflow can declare code as
    input at next to no cost.

    Parameters
    ----------
    module
        Name below the package, for example ``glacier.fit``.
    """
    found: set[Path] = set()
    waiting = [PACKAGE / f"{module.replace('.', '/')}.py"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(found)


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    found = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            package, _, inner = name.partition(".")
            place = PACKAGE / inner.replace(".", "/")
            for candidate in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
                if package == PACKAGE.name and inner and candidate.is_file():
                    found.append(candidate)
    return tuple(found)
