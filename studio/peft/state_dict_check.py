"""Checks of attachment names, and of foreign tensors before they are loaded into an adapter."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.peft.param_counts import HEAD


def check_unique_names(names: Sequence[str]) -> None:
    """Raise StudioError for a repeated name: tensors are stored under their attachment, so one would be lost."""
    taken = {HEAD}
    for name in names:
        if name in taken:
            raise StudioError(
                "name-taken", "The name {name!r} is already in use. Give each attachment its own name.", name=name
            )
        taken.add(name)


def state_dict_mismatch(expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> str:
    """Return why ``loaded`` does not fit ``expected``, as one sentence; empty if it fits."""
    for name in expected.keys() ^ loaded.keys():
        if name in expected:
            return N_("The adapter has no {tensor}; it belongs to other attachments or another backbone.", tensor=name)
        return N_(
            "The adapter has an unexpected {tensor}; it belongs to other attachments or another backbone.", tensor=name
        )
    return next((problem for name in expected if (problem := _mismatch(name, expected[name], loaded[name]))), "")


def _mismatch(name: str, expected: Tensor, loaded: Tensor) -> str:
    if loaded.shape != expected.shape:
        return N_(
            "The shape of {tensor} in the adapter is {shape}, but this backbone needs {expected}.",
            tensor=name,
            shape=tuple(loaded.shape),
            expected=tuple(expected.shape),
        )
    if loaded.is_floating_point() != expected.is_floating_point() or loaded.is_complex():
        return N_(
            "The type of {tensor} in the adapter is {dtype}, but this backbone needs {expected}.",
            tensor=name,
            dtype=loaded.dtype,
            expected=expected.dtype,
        )
    # Checked in the type it is loaded as: a float64 value may be infinite in float32.
    if not bool(torch.isfinite(loaded.to(expected.dtype)).all()):
        return N_(
            "{tensor} in the adapter has values that are not finite; the file is damaged or its training diverged.",
            tensor=name,
        )
    return ""
