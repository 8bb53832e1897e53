"""A virtual environment with some packages and their requirements, and without this program."""

import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

FORBIDDEN = ("studio", "peft_studio")


def make(folder: Path, packages: Iterable[str]) -> Path:
    """Create an environment in ``folder`` with links to the installed files of ``packages``; return its Python."""
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", query], capture_output=True, text=True, check=True).stdout.strip())
    for name, source in sorted({entry for one in required(packages) for entry in entries(one)}):
        if not (site / name).exists() and name.partition("-")[0] not in FORBIDDEN:
            (site / name).symlink_to(source, target_is_directory=source.is_dir())
    return python


def required(packages: Iterable[str]) -> Iterator[Distribution]:
    """Yield the named distributions and all that they require on this machine."""
    seen: set[str] = set()
    waiting = list(packages)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # an optional one, or one that another distribution provides
        yield found
        needs = [Requirement(text) for text in found.requires or ()]
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


def entries(found: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the top-level files and folders of a distribution, and their paths."""
    for file in found.files or ():
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not top.endswith(".pth"):
            yield top, Path(str(found.locate_file(top)))
