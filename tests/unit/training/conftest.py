"""What the training tests share."""

import pytest


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that another test has kept is found."""
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
