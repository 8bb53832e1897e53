"""The matrix of methods and formats, on families of convolutions."""

from pathlib import Path

import pytest

from tests.unit.export.matrix import CONVOLUTIONS, check, traced_once

__all__ = ["traced_once"]


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("family", CONVOLUTIONS)
@pytest.mark.slow
def test_every_method_in_every_format(family: str, tmp_path: Path) -> None:
    check(family, tmp_path)
