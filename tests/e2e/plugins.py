"""Plugins that are found as installed ones are: by the metadata of their distribution."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPTIONS = "studio.testing.options"


def install(project_folder: Path, site: Path) -> dict[str, str]:
    """Copy a plugin with its metadata to ``site``; return an environment in which Python finds it there."""
    project = tomllib.loads((project_folder / "pyproject.toml").read_text())
    name, version = project["project"]["name"], project["project"]["version"]
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for file in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        (site / file).write_bytes((project_folder / file).read_bytes())
    path = os.pathsep.join([str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(environment: dict[str, str], *arguments: str | Path) -> str:
    """Return the output of ``python -m`` with these arguments; fail if it fails."""
    return run_python(environment, "-m", *arguments)


def run_python(environment: dict[str, str], *arguments: str | Path) -> str:
    """Return the output of Python with these arguments; fail if it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contract_tests(environment: dict[str, str], root: Path, *options: str) -> str:
    """Return the output of the contract tests with ``options``."""
    known = any(entry.value == OPTIONS for entry in entry_points(group="pytest11"))
    plugin = () if known else ("-p", OPTIONS)
    kit = ("--pyargs", "studio.testing", *options, "-q", "-p", "no:cacheprovider")
    return run(environment, "pytest", *plugin, *kit, "--rootdir", root, "-c", os.devnull)
