"""The pytest hooks and fixtures of the contract tests: their cases, threads and seeds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest
import torch

from studio.core.registry import Registry
from studio.peft import METHODS
from studio.testing import cases
from studio.testing.families import FAMILIES
from studio.testing.matrix import matrix_lines

_PARAMETERS: Mapping[str, Callable[[Iterable[str]], list[Any]]] = {
    "method": lambda names: [METHODS.get(name) for name in names],
    "case": cases.accepted,
    "refused": lambda names: [o.case for o in cases.outcomes(names) if o.refusal is not None],
    "exported": lambda names: [c for c in cases.accepted(names) if FAMILIES[c.family].exported],
    "everywhere": cases.on_all_layers,
    "home": cases.first_accepted,
    "sampled": cases.sampled,
    "variant": cases.variants,
}


_REGISTRIES: Mapping[str, tuple[str, str]] = {
    "exporter": ("studio.export.contract", "EXPORTERS"),
    "source": ("studio.data.sources.contract", "SOURCES"),
    "page": ("studio.ui.pages.registry", "PAGES"),
}
"""Module and name of the registry of each kind besides methods."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize each contract test by the cases that its arguments name."""
    for name in set(_PARAMETERS) & set(metafunc.fixturenames):
        metafunc.parametrize(name, _PARAMETERS[name](selected_methods(metafunc.config)), ids=_label)
    for kind in set(_REGISTRIES) & set(metafunc.fixturenames):
        metafunc.parametrize(kind, _selected_items(metafunc.config, kind), ids=_label)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix with ``--matrix``."""
    if config.getoption("--matrix", default=False):
        terminalreporter.section("methods on families")
        for line in matrix_lines(selected_methods(config)):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one torch thread: small backbones are slower with several, and tests run in parallel."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def fixed_seed() -> Iterator[None]:
    """Use the same random numbers in each test, independent of the order."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def selected_methods(config: pytest.Config) -> list[str]:
    """Return the names of the methods to test: all, unless options select some."""
    if _selects(config):
        return [METHODS.get(name).name for name in config.getoption("--method", default=None) or ()]
    return [method.name for method in METHODS]


def _selects(config: pytest.Config) -> bool:
    """Return whether an option selects what to test; then nothing else is tested."""
    return any(config.getoption(f"--{kind}", default=None) for kind in ("method", *_REGISTRIES))


def _selected_items(config: pytest.Config, kind: str) -> list[Any]:
    """Return the exporters, sources or pages to test; no pages without Qt."""
    names = config.getoption(f"--{kind}", default=None) or ()
    if not names and _selects(config):
        return []
    module, registry = _REGISTRIES[kind]
    try:
        items: Registry[Any] = getattr(import_module(module), registry)
    except ImportError:
        return []
    return [items.get(name) for name in names] or list(items)


def _label(value: Any) -> str:
    return str(value) if isinstance(value, cases.Case) else str(value.name)
