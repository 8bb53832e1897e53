"""Device names of a recipe."""

import pytest
import torch

from studio.core.errors import StudioError
from studio.training.backend import device


def test_devices() -> None:
    assert device.resolve_device("cpu") == torch.device("cpu")
    assert device.resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("toaster", "meta", "cuda:63"):
        with pytest.raises(StudioError, match=name):
            device.resolve_device(name)
