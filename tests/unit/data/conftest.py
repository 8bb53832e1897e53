"""Fixtures of the data tests."""

import pytest


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that no other test has written to."""
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
