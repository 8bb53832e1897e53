"""The keys that we read from ``adapter_config.json``, a foreign file, so every value is checked."""

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from studio.core.errors import StudioError
from studio.core.validation import bad_value
from studio.peft.hf.keys import CONFIG_NAME

_UNSUPPORTED_KEYS = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
    "velora_config",
)
"""Options of HF peft's LORA that change its computation."""
_SUPPORTED_INIT = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of ``init_lora_weights`` that do not change the backbone's weights."""


class PeftConfig(BaseModel):
    """The keys that define the meaning of the tensors, with HF peft's defaults; others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    peft_type: str
    lora_alpha: float = 8.0
    alpha_pattern: dict[str, float] | None = None
    lora_dropout: float | None = 0.0
    use_rslora: bool | None = False
    use_dora: bool | None = False
    feedforward_modules: str | list[str] | None = None

    @field_validator("alpha_pattern", "feedforward_modules")
    @classmethod
    def _check_regex(cls, value: Any) -> Any:
        """Raise ValueError unless keys and texts are regular expressions, as HF peft interprets them."""
        patterns: Iterable[str] = (value,) if isinstance(value, str) else value or ()
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression") from error
        return value


def read_config(folder: Path, peft_types: Collection[str]) -> PeftConfig:
    """Read a folder's configuration; StudioError if it is missing, wrong, or of a type not among ``peft_types``."""
    path = folder / CONFIG_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        config = PeftConfig.model_validate(raw)
    except OSError as error:
        raise StudioError(
            "unreadable-file",
            "{folder} is not a folder of HF peft: {file} cannot be read. Choose another folder.",
            folder=folder,
            file=CONFIG_NAME,
        ) from error
    except ValidationError as error:
        raise bad_value(error, path) from error
    except (ValueError, RecursionError) as error:
        raise StudioError("damaged-file", "{file} is damaged: {reason}.", file=path, reason=error) from error
    _check_supported(raw, folder, peft_types)
    return config


def _check_supported(raw: dict[str, Any], folder: Path, peft_types: Collection[str]) -> None:
    if raw["peft_type"] not in peft_types:
        raise StudioError(
            "unsupported-format",
            "Cannot read {folder}: it uses {feature} of HF peft, which has no counterpart here.",
            folder=folder,
            feature=raw["peft_type"],
        )
    foreign = [key for key in _UNSUPPORTED_KEYS if raw.get(key)]
    if foreign:
        raise StudioError(
            "unsupported-format",
            "Cannot read {folder}: it uses {feature} of HF peft, which has no counterpart here.",
            folder=folder,
            feature=foreign[0],
        )
    init = raw.get("init_lora_weights")
    if init not in _SUPPORTED_INIT:
        raise StudioError(
            "unsupported-format",
            "Cannot read {folder}: its initialization {init} changed the backbone. "
            "Save it in HF peft with path_initial_model_for_weight_conversion to convert it to plain LoRA.",
            folder=folder,
            init=init,
        )
