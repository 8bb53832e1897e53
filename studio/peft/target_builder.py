"""Attachments for a method at several places of the layer tree at once, and edits of their targets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.core.errors import StudioError
from studio.core.layers import Layer, is_within, wildcard_path
from studio.core.messages import N_
from studio.core.recipe import Attachment, Slice
from studio.peft.contract import Method
from studio.peft.targets import (
    default_sites,
    match_layers,
    minimal_patterns,
    no_sites_reason,
    unique_name,
    unsupported_reason,
)

LayerSlice = tuple[str, Slice | None]
"""A layer's path, and a slice of its fused qkv, or None for the whole layer."""


@dataclass(slots=True)
class _AcceptedSites:
    """Supported layers by their slices, and the reasons of the others."""

    sites: dict[tuple[Slice, ...], list[str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add(self, layer: Layer, slices: tuple[Slice, ...]) -> None:
        paths = self.sites.setdefault(slices, [])
        if (path := layer.path or ".") not in paths:
            paths.append(path)


def build_attachments(
    method: Method[Any],
    layers: Sequence[Layer],
    targets: Sequence[LayerSlice],
    taken_names: Iterable[str] = (),
    config: Mapping[str, Any] | None = None,
    slices: tuple[Slice, ...] = (),
) -> tuple[Attachment, ...]:
    """Return the attachments of ``method`` at ``targets``, one for each choice of slices.

    A layer that the method supports is the target itself; any other stands for the method's default sites inside it.
    ``slices`` replace the method's default slices in layers that have any. Unsupported targets are left out;
    StudioError with the reason if none is left.
    """
    values = method.configure(config or {})
    found = _AcceptedSites()
    _add_slices(method, layers, targets, values, found)
    whole = [path for path, part in targets if part is None]
    for row, rows in subtrees(layers, whole):
        chosen = default_sites(method, values, row, rows)
        if chosen is None:
            found.reasons.append(no_sites_reason(method, row, values))
            continue
        for site in chosen[0]:
            found.add(site, (slices or chosen[1]) if site.slices or method.allows_mixed_slices else ())
    if not found.sites:
        reason = next(iter(found.reasons), N_("This backbone has none of the chosen layers."))
        raise StudioError("unsupported-layer", reason)
    return _make_attachments(method, found, layers, taken_names, values.model_dump())


def _add_slices(
    method: Method[Any], layers: Sequence[Layer], targets: Sequence[LayerSlice], values: Any, accepted: _AcceptedSites
) -> None:
    parts: dict[str, set[Slice]] = {}
    for path, part in targets:
        if part is not None:
            parts.setdefault(path, set()).add(part)
    for layer in layers if parts else ():
        if chosen := parts.get(layer.path):
            ordered = tuple(sorted(chosen, key="qkv".index))
            reason = unsupported_reason(method, layer, values, ordered)
            if reason:
                accepted.reasons.append(reason)
            else:
                accepted.add(layer, ordered)


def subtrees(layers: Sequence[Layer], paths: Sequence[str]) -> list[tuple[Layer, Sequence[Layer]]]:
    """Return each layer at ``paths`` with its subtree, which begins with itself; ``layers`` are in pre-order."""
    wanted = set(paths)
    starts = {layer.path: number for number, layer in enumerate(layers) if layer.path in wanted}
    found: list[tuple[Layer, Sequence[Layer]]] = []
    for start in (starts[path] for path in dict.fromkeys(paths) if path in starts):
        end = start + 1
        while end < len(layers) and is_within(layers[end].path, layers[start].path):
            end += 1
        found.append((layers[start], layers[start:end]))
    return found


def _make_attachments(
    method: Method[Any],
    accepted: _AcceptedSites,
    layers: Sequence[Layer],
    taken_names: Iterable[str],
    config: dict[str, Any],
) -> tuple[Attachment, ...]:
    names, attachments = set(taken_names), []
    for slices, paths in accepted.sites.items():
        name = unique_name(method.name, names)
        names.add(name)
        attachments.append(
            Attachment(name=name, method=method.name, at=minimal_patterns(paths, layers), slices=slices, config=config)
        )
    return tuple(attachments)


def same_kind(layer: Layer, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers of the same kind as ``layer``, itself included: same type and path, in any block."""
    kind = wildcard_path(layer.path)
    return tuple(other for other in layers if other.type == layer.type and wildcard_path(other.path) == kind)


def exclude_paths(
    attachment: Attachment, paths: Iterable[str], matched: Sequence[Layer], layers: Sequence[Layer]
) -> Attachment | None:
    """Return ``attachment``, which matches ``matched``, without the layers at ``paths``; None if none is left."""
    gone = set(paths)
    left = [layer.path or "." for layer in matched if layer.path not in gone]
    return attachment.model_copy(update={"at": minimal_patterns(left, layers)}) if left else None


def restrict_to_blocks(patterns: Sequence[str], first: int, last: int, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return ``patterns`` for the blocks ``first`` to ``last`` only, counted from 0 through the network.

    A pattern that matches no path stands for every path that ends in it, such as ``attn.qkv`` for that of each block.
    A range over all blocks leaves the patterns as they are, so that they fit a deeper network too.
    """
    full = tuple(p if match_layers([p], layers) else f"**.{p}" for p in patterns)
    blocks = {layer.block for layer in layers if layer.block is not None}
    if not blocks or (first <= min(blocks) and last >= max(blocks)):
        return full
    paths = [
        layer.path for layer in match_layers(full, layers) if layer.block is not None and first <= layer.block <= last
    ]
    return minimal_patterns(paths, layers)
