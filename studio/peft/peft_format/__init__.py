"""Hugging Face peft's folders at the level of tensors and configuration, written and read without peft.

The format was measured with peft 0.21.2. Only the configuration's stable keys are written, and full layer names.
"""

from studio.peft.peft_format.naming import CONFIG, ELSEWHERE, TENSORS, PeftFolder
from studio.peft.peft_format.reading import Imported, from_peft, load_peft
from studio.peft.peft_format.writing import to_peft

__all__ = ["CONFIG", "ELSEWHERE", "TENSORS", "Imported", "PeftFolder", "from_peft", "load_peft", "to_peft"]
