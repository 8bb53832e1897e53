"""Allowed imports: the window opens in a second because its first imports do not include torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "studio"
QT = {"PySide6", "shiboken6", "pyqtgraph"}
TORCH = {"torch", "torchvision", "timm", "safetensors"}
LIGHT = ("studio.ui", "studio.cli", "studio.core", "studio.__main__")
"""These must not import torch at module level, neither directly nor through others."""


def modules() -> dict[str, Path]:
    """Return the path of each module of the package by its dotted name."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = modules()


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


@cache
def imports(name: str, *, everywhere: bool = False) -> frozenset[str]:
    """Return the imports that run when a module is imported; with ``everywhere`` those in its functions too."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    return frozenset(found for node in _statements(tree, everywhere) for found in _targets(node, name))


def _statements(tree: ast.AST, everywhere: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (inner for branch in node.orelse for inner in _statements(branch, everywhere))
            continue
        yield node
        if everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _statements(node, everywhere)


def _targets(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{name} has a relative import"
        assert node.module
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in MODULES)


def chain_to(name: str, forbidden: set[str]) -> list[str]:
    """Return the chain of imports from ``name`` to a ``forbidden`` package; empty if there is none."""
    seen, waiting = {name}, [[name]]
    while waiting:
        path = waiting.pop()
        for found in sorted(imports(path[-1]) | set(_parents(path[-1]))):
            if found.partition(".")[0] in forbidden:
                return [*path, found]
            if found in MODULES and found not in seen:
                seen.add(found)
                waiting.append([*path, found])
    return []


def _parents(name: str) -> Iterator[str]:
    """Yield the packages that are imported before the module."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


@pytest.mark.parametrize("name", [name for name in MODULES if not is_in(name, ("studio.ui",))])
def test_nothing_below_the_window_imports_qt(name: str) -> None:
    found = {target for target in imports(name, everywhere=True) if target.partition(".")[0] in QT}
    assert found == set()


@pytest.mark.parametrize("name", [name for name in MODULES if is_in(name, LIGHT)])
def test_the_window_and_the_core_do_not_wait_for_torch(name: str) -> None:
    assert chain_to(name, TORCH) == []


def imported_files(name: str) -> set[str]:
    """Return the modules that ``name`` imports, in functions too: a submodule instead of its package."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    nodes = list(_statements(tree, everywhere=True))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    pairs = [(node.module, alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    named = {f"{module}.{item}" if f"{module}.{item}" in MODULES else str(module) for module, item in pairs}
    return (plain | named) & set(MODULES) - {name}


def test_no_two_files_import_each_other_even_in_functions() -> None:
    graph = {name: imported_files(name) for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_core_knows_no_other_room() -> None:
    for name in (name for name in MODULES if is_in(name, ("studio.core",))):
        others = {
            t for t in imports(name, everywhere=True) if t.startswith("studio.") and not is_in(t, ("studio.core",))
        }
        assert others == set(), name


def test_the_engine_needs_no_recipe_file_window_or_training() -> None:
    above = ("studio.app", "studio.training", "studio.evaluation", "studio.export", "studio.ui", "studio.cli")
    for name in (name for name in MODULES if is_in(name, ("studio.peft",))):
        assert not [t for t in imports(name, everywhere=True) if is_in(t, above)], name


def test_the_rules_would_notice() -> None:
    assert chain_to("studio.peft.contract", TORCH)[-1].startswith("torch")
    assert chain_to("studio.app.inspection", TORCH)
    assert any(chain_to(name, QT) for name in MODULES if is_in(name, ("studio.ui",)))


@pytest.mark.parametrize(
    "statement",
    [
        "import studio.ui.window.main_window",
        "import studio.ui.application",
        "import studio.cli.main",
        "import studio.core.recipe, studio.core.registry, studio.core.run, studio.core.events, studio.core.layers",
    ],
)
def test_a_fresh_process_has_no_torch(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(sorted({TORCH!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("statement", ["import studio.cli.main", "import studio.peft", "import studio.core.run"])
@pytest.mark.slow
def test_a_fresh_process_below_the_window_has_no_qt(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(sorted({QT!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_reading_a_run_does_not_import_the_trainer() -> None:
    code = "import studio.evaluation.restore, sys\nprint(sorted(n for n in sys.modules if 'studio.training' in n))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "studio.training.model" in done.stdout
    for name in ("trainer", "loop", "optimizer", "grad_accumulation", "distributed"):
        assert f"studio.training.{name}" not in done.stdout
