"""Rooms import downwards only, and torch and optuna stay where they belong."""

import ast
from pathlib import Path

import pytest

LAYERS = ["errors seeds machine memory signals", "files console columns", "design", "cost"]
LAYERS += ["score front", "data networks records", "evaluate describe", "train export", "bench"]
LAYERS += ["report", "explore", "dashboard"]
LEVEL = {room: level for level, layer in enumerate(LAYERS) for room in layer.split()}
USES_TORCH = {"data", "networks", "evaluate", "train", "export", "bench", "explore"}
USES_OPTUNA = {"explore", "dashboard"}  # the search, and Optuna's own page over what it stored
# Quoted beside counted is the subject of one, and the other's rows have the catalogue's names.
CATALOGUE = {Path("report", "table1.py"), Path("report", "table2.py")}
NANO = Path(__file__).parent.parent / "nano"
FILES = [path.relative_to(NANO) for path in sorted(NANO.rglob("*.py")) if path.parent != NANO]
FILES += [Path(path.name) for path in sorted(NANO.glob("[!_]*.py"))]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_downwards(path: Path) -> None:
    room = path.parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse((NANO / path).read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for package, below in ((module + ".").split(".")[:2] for module in modules):
            if package == "nano" and below != room:
                assert LEVEL[below] < LEVEL[room], f"{room} imports {below}"
                reads = room != "report" or path in CATALOGUE or below not in USES_TORCH
                assert reads, "reports read records only"
            assert package != "torch" or room in USES_TORCH, f"{room} imports torch"
            assert package != "optuna" or room in USES_OPTUNA, f"{room} imports optuna"
