"""Hugging Face peft's folders at the level of tensors and configuration, written and read without peft.

The format was measured with peft 0.21.2. Only the configuration's stable keys are written, and full layer names.
"""

from studio.peft.hf.keys import CONFIG_NAME, OTHER_FORMATS, SAFETENSORS_WEIGHTS_NAME, PeftFolder
from studio.peft.hf.load import ImportedAdapter, from_peft, load_peft
from studio.peft.hf.save import to_peft

__all__ = [
    "CONFIG_NAME",
    "OTHER_FORMATS",
    "SAFETENSORS_WEIGHTS_NAME",
    "ImportedAdapter",
    "PeftFolder",
    "from_peft",
    "load_peft",
    "to_peft",
]
