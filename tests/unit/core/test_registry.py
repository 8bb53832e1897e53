"""Registries: names, order, and plugins that fail."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from studio.core.errors import StudioError
from studio.core.registry import Registry

GROUP = "peft_studio.test_things"


@dataclass(frozen=True)
class Thing:
    name: str


def registry(*builtin: str) -> Registry[Thing]:
    def register() -> None:
        for name in builtin:
            made.register(Thing(name))

    made: Registry[Thing] = Registry("thing", GROUP, register)
    return made


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a module as a plugin, as pip would: code and metadata in a folder of sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return make


def test_things_come_in_the_order_of_registration() -> None:
    things = registry("b", "a")
    assert [thing.name for thing in things] == ["b", "a"]
    assert "a" in things
    assert "c" not in things
    assert things.get("a") == Thing("a")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(StudioError, match=r"There is no thing called 'c'\. Available: b, a\."):
        registry("b", "a").get("c")


def test_of_many_names_similar_ones_are_suggested() -> None:
    many = registry(*(f"method{number}" for number in range(20)), "lora")
    with pytest.raises(StudioError, match=r"'lroa'\. Did you mean lora\?"):
        many.get("lroa")
    with pytest.raises(StudioError, match=r"'zzz'\. Install its plugin, or choose one of the 21"):
        many.get("zzz")


def test_a_name_is_given_once() -> None:
    things = registry("a")
    assert list(things)
    with pytest.raises(ValueError, match="already is a thing called 'a'"):
        things.register(Thing("a"))


def test_nothing_is_imported_before_the_first_look() -> None:
    looked: list[str] = []
    things: Registry[Thing] = Registry("thing", GROUP, lambda: looked.append("once"))
    assert looked == []
    assert list(things) == []
    assert "a" not in things
    assert looked == ["once"]


def test_a_plugin_comes_after_the_built_in_things(install, monkeypatch: pytest.MonkeyPatch) -> None:
    things = registry("a")
    host = ModuleType("studio_host_of_things")
    host.register = lambda name: things.register(Thing(name))
    monkeypatch.setitem(sys.modules, host.__name__, host)
    install("studio_good_plugin", "import studio_host_of_things\nstudio_host_of_things.register('z')")
    assert [thing.name for thing in things] == ["a", "z"]
    assert things.failures == {}


@pytest.mark.parametrize(
    "code",
    [
        "raise RuntimeError('no luck')",
        "import not_there_at_all",
        "syntax error here",
        "import studio.core.registry\n1 / 0",
    ],
)
def test_a_plugin_that_fails_is_reported_and_stops_nothing(install, code: str) -> None:
    install("studio_bad_plugin", code)
    things = registry("a", "b")
    assert [thing.name for thing in things] == ["a", "b"]
    assert things.get("b") == Thing("b")
    assert list(things.failures) == ["studio_bad_plugin"]
    assert "The plugin studio_bad_plugin" in things.failures["studio_bad_plugin"]
    with pytest.raises(StudioError, match=r"some plugins could not be loaded: studio_bad_plugin \(") as raised:
        things.get("c")
    assert raised.value.code == "unknown-name"


def test_a_plugin_that_takes_a_name_is_a_failure(install, monkeypatch: pytest.MonkeyPatch) -> None:
    things = registry("a")
    host = ModuleType("studio_host_of_things")
    host.register = lambda name: things.register(Thing(name))
    monkeypatch.setitem(sys.modules, host.__name__, host)
    install("studio_thief_plugin", "import studio_host_of_things\nstudio_host_of_things.register('a')")
    assert [thing.name for thing in things] == ["a"]
    assert "already is a thing called 'a'" in things.failures["studio_thief_plugin"]
