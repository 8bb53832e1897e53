"""Fixtures of the training tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core.run import Run
from tests.unit.conftest import MakeRecipe


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a data folder of its own."""
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def make_run(tmp_path: Path, make_recipe: MakeRecipe) -> Callable[..., Run]:
    """Make a new run of a tiny recipe; keywords are training settings."""

    def make(name: str = "run", **values: Any) -> Run:
        return Run.create(make_recipe(**values), tmp_path / name)

    return make
