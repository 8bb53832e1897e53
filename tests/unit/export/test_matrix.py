"""Method x format x family: each export predicts as the live model in a fresh process, or is refused."""

from pathlib import Path

import pytest

from tests.unit.export.matrix import TRANSFORMERS, check, traced_once

__all__ = ["traced_once"]


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("family", TRANSFORMERS)
@pytest.mark.slow
def test_every_method_in_every_format(family: str, tmp_path: Path) -> None:
    check(family, tmp_path)
