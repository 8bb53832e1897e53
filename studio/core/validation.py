"""Errors of pydantic as errors for users."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from studio.core.errors import StudioError
from studio.core.messages import N_, Message, N_n

_REASONS: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    "extra_forbidden": lambda _: N_("is not a known key"),
    "missing": lambda _: N_("is missing"),
    "greater_than": lambda c: N_("must be greater than {limit}", limit=c["gt"]),
    "greater_than_equal": lambda c: N_("must be at least {limit}", limit=c["ge"]),
    "less_than": lambda c: N_("must be less than {limit}", limit=c["lt"]),
    "less_than_equal": lambda c: N_("must be at most {limit}", limit=c["le"]),
    "finite_number": lambda _: N_("must be a finite number"),
    "literal_error": lambda c: N_("must be one of {choices}", choices=str(c["expected"]).replace(" or ", ", ")),
    "int_type": lambda _: N_("must be a whole number"),
    "int_parsing": lambda _: N_("must be a whole number"),
    "int_from_float": lambda _: N_("must be a whole number"),
    "float_type": lambda _: N_("must be a number"),
    "float_parsing": lambda _: N_("must be a number"),
    "bool_type": lambda _: N_("must be true or false"),
    "bool_parsing": lambda _: N_("must be true or false"),
    "string_type": lambda _: N_("must be text"),
    "string_too_long": lambda c: N_n(
        "must have at most {n} character", "must have at most {n} characters", c["max_length"]
    ),
    "string_pattern_mismatch": lambda _: N_("may contain only letters, digits, hyphens and underscores"),
    "tuple_type": lambda _: N_("must be a list"),
    "list_type": lambda _: N_("must be a list"),
    "too_long": lambda c: N_n("must have at most {n} entry", "must have at most {n} entries", c["max_length"]),
    "dict_type": lambda _: N_("must be a table of keys and values"),
    "mapping_type": lambda _: N_("must be a table of keys and values"),
    "model_type": lambda _: N_("must be a table of keys and values"),
    "model_attributes_type": lambda _: N_("must be a table of keys and values"),
}


def bad_value(error: ValidationError, origin: object = "") -> StudioError:
    """Return the StudioError "bad-value" for the first complaint of pydantic.

    Its values are ``origin`` (a file, an option or a label), ``key``, the dotted path of the field, empty for the
    whole, and ``reason``, a Message if the kind of complaint is known.
    """
    first = error.errors(include_url=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    reason = _reason(first["type"], first.get("ctx", {}), first["msg"])
    values = {"origin": origin, "key": key, "reason": reason}
    if origin and key:
        return StudioError("bad-value", "{origin}: {key} {reason}.", **values)
    if origin:
        return StudioError("bad-value", "{origin}: {reason}.", **values)
    if key:
        return StudioError("bad-value", "{key} {reason}.", **values)
    return StudioError("bad-value", "{reason}.", **values)


def _reason(kind: str, context: Mapping[str, Any], text: str) -> str:
    """Return the reason as a predicate."""
    if kind == "value_error" and context["error"].args and isinstance(context["error"].args[0], Message):
        return context["error"].args[0]
    if kind in ("string_too_short", "too_short"):
        fewest = context["min_length"]
        return N_("must not be empty") if fewest == 1 else N_("must have a length of at least {n}", n=fewest)
    return _REASONS[kind](context) if kind in _REASONS else text.removeprefix("Value error, ")
