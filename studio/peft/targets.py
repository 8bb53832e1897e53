"""Patterns over layer paths, and the default targets of a method."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role, is_within, wildcard_path
from studio.core.messages import N_
from studio.core.recipe import Attachment, Slice
from studio.peft.contract import DefaultSites, Method, MethodConfig

_TOKEN = re.compile(r"\*\*\.?|\*|\{(\d{1,4})\.\.(\d{1,4})\}|[^*{]+|\{")


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a target: ``*`` is one part of a path, ``**`` any number of them, ``{6..11}`` a range of numbers.

    "." is the backbone.
    """
    if pattern in ("", "."):
        return re.compile(r"\Z")
    # Repeated ** are equivalent to one, and matching one takes linear time.
    single = re.sub(r"(?:\*\*\.){2,}", "**.", re.sub(r"\*{3,}", "**", pattern))
    return re.compile("".join(_translate(token) for token in _TOKEN.finditer(single)) + r"\Z")


def _translate(token: re.Match[str]) -> str:
    text = token.group()
    if text.startswith("**"):
        return r"(?:[^.]+\.)*" if text.endswith(".") else ".*"
    if text == "*":
        return r"[^.]+"
    if token.group(1) is not None:
        return "(?:" + "|".join(map(str, range(int(token.group(1)), int(token.group(2)) + 1))) + ")"
    return re.escape(text)


def match_layers(patterns: Iterable[str], layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that any of ``patterns`` matches, in the order of the tree."""
    compiled = [compile_pattern(pattern) for pattern in patterns]
    return [layer for layer in layers if any(p.match(layer.path) for p in compiled)]


def unsupported_reason(method: Method[Any], layer: Layer, config: MethodConfig, slices: tuple[str, ...]) -> str:
    """Return why ``method`` cannot attach to ``layer``, as one sentence; empty if it can."""
    if layer.role is Role.HEAD:
        return N_("The head is trained as a whole, so nothing can be attached to it.")
    if layer.bypass_reason:
        return layer.bypass_reason
    if slices and not layer.slices and not method.allows_mixed_slices:
        return N_("This layer has no q, k and v slices.")
    return method.unsupported_reason(layer, config, slices)


def default_attachment(
    method: Method[Any],
    layers: Sequence[Layer],
    target: str = "",
    taken_names: Iterable[str] = (),
    config: Mapping[str, Any] | None = None,
) -> Attachment:
    """Return the attachment that a drop of ``method`` on the layer ``target`` makes.

    A layer that the method supports is the target itself; any other stands for the method's default sites inside it.
    Raises StudioError with the reason if there are none.
    """
    values = method.configure(config or {})
    row = next((layer for layer in layers if layer.path == target), None)
    if row is None:
        raise StudioError("unknown-name", "This backbone has no layer {layer!r}.", layer=target)
    chosen = default_sites(method, values, row, [layer for layer in layers if is_within(layer.path, row.path)])
    if chosen is None:
        raise StudioError("unsupported-layer", no_sites_reason(method, row, values))
    sites, slices = chosen
    return Attachment(
        name=unique_name(method.name, taken_names),
        method=method.name,
        at=minimal_patterns([site.path or "." for site in sites], layers),
        slices=slices,
        config=values.model_dump(),
    )


def no_sites_reason(method: Method[Any], row: Layer, config: MethodConfig) -> str:
    """Return why there are no :func:`default_sites` of ``method`` in ``row``, as one sentence."""
    reason = unsupported_reason(method, row, config, ())
    target = row.path or N_("this backbone")
    return reason or N_("{method} supports no layer in {target}.", method=method.label, target=target)


def default_sites(
    method: Method[Any], config: Any, row: Layer, subtree: Sequence[Layer]
) -> tuple[tuple[Layer, ...], tuple[Slice, ...]] | None:
    """Return the layers and slices for a drop of ``method`` on ``row``, whose ``subtree`` includes ``row`` itself.

    None if no layer is supported.
    """
    for default in method.default_sites:
        roles = [layer for layer in subtree if layer.role in default.roles]
        accepted = [layer for layer in roles if not unsupported_reason(method, layer, config, _slices(default, layer))]
        if accepted:
            return tuple(accepted), _slices(default, accepted[0])
    return None if unsupported_reason(method, row, config, ()) else ((row,), ())


def _slices(default: DefaultSites, layer: Layer) -> tuple[Slice, ...]:
    return cast(tuple[Slice, ...], default.slices) if layer.slices else ()


def minimal_patterns(paths: Sequence[str], layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return patterns that match exactly ``paths``.

    Numbers that differ become ``*`` or ``{a..b}`` if that adds no other layer.
    """
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(wildcard_path(path), []).append(path)
    return tuple(p for members in groups.values() for p in _patterns(members, layers))


def _patterns(members: list[str], layers: Sequence[Layer]) -> list[str]:
    """Return as few patterns as possible for ``members``, which differ in numbers only."""
    columns = [sorted(set(column)) for column in zip(*(path.split(".") for path in members), strict=True)]
    wide = ".".join(column[0] if len(column) == 1 else "*" for column in columns)
    narrow = ".".join(column[0] if len(column) == 1 else _range_pattern(column) for column in columns)
    for pattern in (wide, narrow):
        if len(members) > 1 and _matches_only(pattern, members, layers):
            return [pattern]
    varying = [position for position, column in enumerate(columns) if len(column) > 1]
    return (
        [_run_pattern(run, varying[0]) for run in _consecutive_runs(members, varying[0])]
        if len(varying) == 1
        else members
    )


def _matches_only(pattern: str, members: Sequence[str], layers: Sequence[Layer]) -> bool:
    return {layer.path for layer in match_layers([pattern], layers)} == set(members)


def _consecutive_runs(members: Iterable[str], position: int) -> list[list[str]]:
    """Split ``members`` into runs of consecutive numbers at ``position``."""
    runs: list[list[str]] = []
    last = None
    for member in sorted(members, key=lambda path: int(path.split(".")[position])):
        number = int(member.split(".")[position])
        if last is not None and number == last + 1:
            runs[-1].append(member)
        else:
            runs.append([member])
        last = number
    return runs


def _run_pattern(run: Sequence[str], position: int) -> str:
    if len(run) == 1:
        return run[0]
    parts = run[0].split(".")
    parts[position] = _range_pattern([path.split(".")[position] for path in run])
    return ".".join(parts)


def _range_pattern(numbers: Sequence[str]) -> str:
    values = [int(number) for number in numbers]
    return f"{{{min(values)}..{max(values)}}}"


def unique_name(stem: str, taken_names: Iterable[str]) -> str:
    """Return ``stem``, or ``stem-2`` and so on if it is in use."""
    names = set(taken_names)
    return next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(names) + 3))) if n not in names)
