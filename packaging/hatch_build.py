"""Build hook: compile the translation catalogs, for wheels and for editable installs."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from translations import catalogs, compile_catalog


class TranslationsHook(BuildHookInterface):
    """Compiles each ``.po`` file beside itself; the wheel gets the result with the other resources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatch: run before the build."""
        for path in catalogs():
            compile_catalog(path)
