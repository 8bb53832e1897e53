"""Qt's system libraries are looked for before anything long, installed where that is allowed, and otherwise named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "bash", "make", "env", "true", "cut", "sort", "tr", "sed", "wc", "mktemp", "find", "cp", "rm", "mkdir")
OTHERS = "".join(f":{folder}" for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder)
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves these libraries to the system"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is missing"),
]


class Machine:
    """A machine whose libEGL is an empty file, with the commands of its own that a test gives it."""

    def __init__(self, folder: Path) -> None:
        self.commands, self.broken, self.log = folder / "commands", folder / "broken", folder / "log"
        self.venv = folder / "venv"
        self.commands.mkdir()
        self.broken.mkdir()
        (self.broken / "libEGL.so.1").touch()
        for tool in TOOLS:
            (self.commands / tool).symlink_to(shutil.which(tool))
        self.add("uname", "echo Linux")
        self.add("id", "echo 1000")
        self.add("sudo", "exit 1")

    def add(self, name: str, script: str) -> None:
        """Put a command in the place of the system's; it notes how it is called."""
        path = self.commands / name
        path.write_text(f'#!/bin/sh\necho {name} "$*" >>{self.log}\n{script}\n')
        path.chmod(0o755)

    def make(self, goal: str) -> subprocess.CompletedProcess:
        """Run a goal of the Makefile."""
        return subprocess.run(
            ["make", "--no-print-directory", "-f", ROOT / "Makefile", goal, f"VENV={self.venv}"],
            cwd=ROOT,
            env={"PATH": str(self.commands), "LD_LIBRARY_PATH": f"{self.broken}{OTHERS}", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, name: str) -> list[str]:
        """Return how a command was called."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def sentences(done: subprocess.CompletedProcess) -> list[str]:
    return [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]


@pytest.mark.parametrize("goal", ["test", "app", "quick", "unit"])
def test_without_the_right_to_install_one_sentence_says_what_to_run(machine, goal):
    machine.add("apt-get", "exit 1")
    done = machine.make(goal)
    assert done.returncode == 2
    advice = '"sudo apt-get install --reinstall libegl1"'
    assert sentences(done) == [f"Qt cannot load libEGL.so.1: install with {advice}, then run make again."]
    assert not machine.calls("apt-get")
    assert not machine.venv.exists()


def test_more_than_one_library_is_one_sentence_too(machine):
    for name in ("libxcb-cursor.so.0", "libxcb-shape.so.0"):
        (machine.broken / name).touch()
    machine.add("apt-get", "exit 1")
    said = sentences(machine.make("libraries"))
    assert len(said) == 1
    assert said[0].startswith("Qt cannot load libEGL.so.1 and ")
    assert {"libegl1", "libxcb-cursor0", "libxcb-shape0"} <= set(said[0].replace('"', " ").split())


@pytest.mark.parametrize(("user", "sudo"), [("0", "exit 1"), ("1000", 'shift; [ "$1" = true ] || exec "$@"')])
def test_a_missing_package_is_installed_by_root_and_by_sudo_without_a_password(machine, user, sudo):
    machine.add("id", f"echo {user}")
    machine.add("sudo", sudo)
    machine.add("dpkg-query", "exit 1")
    machine.add("apt-get", f'case "$*" in *install*) rm {machine.broken}/libEGL.so.1 ;; esac')
    done = machine.make("libraries")
    assert (done.returncode, done.stdout) == (0, "")
    installed = [call for call in machine.calls("apt-get") if " install " in call]
    assert [call.split()[-1] for call in installed] == ["libegl1"]
    assert machine.make("libraries").stderr == ""


@pytest.fixture
def intact():
    """The library that Qt loads here."""
    if "libEGL" not in (maps := loaded_by("libEGL.so.1")):
        pytest.skip("no libEGL to copy")
    return re.search(r"/\S*/libEGL\S*", maps)[0]


def loaded_by(library: str) -> str:
    """Return what a process that loads the library has in its memory."""
    done = subprocess.run(
        ["cat", "/proc/self/maps"], env=os.environ | {"LD_PRELOAD": library}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_library_that_is_installed_and_does_not_load_is_unpacked_beside_the_environment(machine, intact):
    machine.add("id", "echo 0")
    machine.add("dpkg-query", "echo installed")
    machine.add("apt-get", '[ "$1" != download ] || echo >libegl1.deb')
    machine.add("dpkg-deb", f'mkdir -p "$3/usr/lib/any"; cp {intact} "$3/usr/lib/any/libEGL.so.1"')
    assert machine.make("libraries").returncode == 0
    assert not [call for call in machine.calls("apt-get") if " install " in call]
    assert [path.name for path in (machine.venv / "system-libraries").iterdir()] == ["libEGL.so.1"]
    assert machine.make("libraries").stderr == ""


def test_a_failed_installation_ends_in_the_sentence(machine):
    machine.add("id", "echo 0")
    machine.add("dpkg-query", "exit 1")
    machine.add("apt-get", "exit 100")
    done = machine.make("libraries")
    assert done.returncode == 2
    assert "Qt cannot load libEGL.so.1: install with" in done.stderr


def test_dnf_is_asked_for_the_library_by_its_name(machine):
    machine.add("id", "echo 0")
    machine.add("dnf", f"rm {machine.broken}/libEGL.so.1")
    assert machine.make("libraries").returncode == 0
    assert machine.calls("dnf") == ["install -y -q libEGL.so.1()(64bit)"]


def test_dnf_without_the_right_to_install(machine):
    machine.add("dnf", "exit 1")
    advice = "\"sudo dnf install 'libEGL.so.1()(64bit)'\""
    assert sentences(machine.make("libraries")) == [
        f"Qt cannot load libEGL.so.1: install with {advice}, then run make again."
    ]


def test_another_package_manager(machine):
    assert sentences(machine.make("libraries")) == [
        "Qt cannot load libEGL.so.1: install with the package manager of this system, then run make again."
    ]


def test_nothing_is_looked_for_outside_linux(machine):
    machine.add("uname", "echo Darwin")
    done = machine.make("libraries")
    assert (done.returncode, done.stderr) == (0, "")
