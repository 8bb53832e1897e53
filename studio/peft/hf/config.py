"""What we read of ``adapter_config.json``: strangers write it, so every value is checked."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from studio.core.errors import StudioError
from studio.core.validation import bad_value
from studio.peft.hf.keys import CONFIG_NAME

_PEFT_TYPES = ("LORA", "IA3", "LN_TUNING")
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
"""Switches of HF peft's LORA that make it compute something else."""
_SUPPORTED_INIT = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of ``init_lora_weights`` that leave the backbone's weights alone."""


class PeftConfig(BaseModel):
    """The keys that say what the tensors mean, with HF peft's own defaults; others are passed over."""

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
        """HF peft takes keys and texts as regular expressions."""
        patterns: Iterable[str] = (value,) if isinstance(value, str) else value or ()
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression") from error
        return value


def read_config(folder: Path) -> PeftConfig:
    """Read a folder's configuration; StudioError where it is missing, wrong, or means something without counterpart."""
    path = folder / CONFIG_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        config = PeftConfig.model_validate(raw)
    except OSError as error:
        raise StudioError(f"{folder} is not a folder of HF peft: {CONFIG_NAME} cannot be read.") from error
    except ValidationError as error:
        raise bad_value(error, path) from error
    except (ValueError, RecursionError) as error:
        raise StudioError(f"{path} is damaged: {error}.") from error
    _check_supported(raw, folder)
    return config


def _check_supported(raw: dict[str, Any], folder: Path) -> None:
    if raw["peft_type"] not in _PEFT_TYPES:
        raise StudioError(f"{folder} is HF peft's {raw['peft_type']}, which has no counterpart here.")
    foreign = [key for key in _UNSUPPORTED_KEYS if raw.get(key)]
    if foreign:
        raise StudioError(f"{folder} uses {foreign[0]} of HF peft, which has no counterpart here.")
    start = raw.get("init_lora_weights")
    if start not in _SUPPORTED_INIT:
        raise StudioError(
            f"{folder} was trained from {start}, which changed the backbone; "
            "save it in HF peft with path_initial_model_for_weight_conversion to make it plain LoRA."
        )
