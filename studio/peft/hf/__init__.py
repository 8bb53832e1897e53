"""Hugging Face peft's folders at the level of tensors and configuration, written and read without peft.

The format was measured with peft 0.21.2. Only the stable keys of the configuration are written, and full layer names.
"""

from studio.peft.hf.form import peft_forms
from studio.peft.hf.keys import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME, PeftFolder
from studio.peft.hf.load import ImportedAdapter, from_peft, load_peft
from studio.peft.hf.save import to_peft

__all__ = [
    "CONFIG_NAME",
    "SAFETENSORS_WEIGHTS_NAME",
    "ImportedAdapter",
    "PeftFolder",
    "from_peft",
    "load_peft",
    "peft_forms",
    "to_peft",
]
