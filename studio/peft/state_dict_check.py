"""Whether attachments fit beside one another, and tensors from elsewhere into an adapter."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from studio.core.errors import StudioError
from studio.peft.param_counts import HEAD


def check_unique_names(names: Sequence[str]) -> None:
    """Raise StudioError for a name twice: tensors are called after their attachment, so one would be lost on disk."""
    taken = {HEAD}
    for name in names:
        if name in taken:
            raise StudioError(f"The name {name!r} is taken already; give each attachment its own.")
        taken.add(name)


def state_dict_mismatch(expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> str:
    """What is wrong with ``given``, in one sentence; empty where it fits."""
    for name in expected.keys() ^ loaded.keys():
        lacking = "lacks" if name in expected else "has an unexpected"
        return f"The adapter {lacking} {name}; it was made for other attachments or another backbone."
    for name, tensor in expected.items():
        if loaded[name].shape != tensor.shape:
            return (
                f"In the adapter {name} is {tuple(loaded[name].shape)}, but this backbone needs {tuple(tensor.shape)}."
            )
        if loaded[name].is_floating_point() != tensor.is_floating_point() or loaded[name].is_complex():
            return f"In the adapter {name} is of type {loaded[name].dtype}, but this backbone needs {tensor.dtype}."
        if not bool(
            torch.isfinite(loaded[name].to(tensor.dtype)).all()
        ):  # as it will be, beyond whose range it may lie
            return f"In the adapter {name} has values that are not numbers; the file is damaged or its training failed."
    return ""
