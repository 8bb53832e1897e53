"""HF peft format, written without peft.

``peft.PeftModel.from_pretrained(timm_model, DIR)`` loads it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from studio.core.files import write_json
from studio.core.messages import N_
from studio.export import backbone
from studio.export.contract import Exporter, ExportSource, register
from studio.peft.contract import Method
from studio.peft.hf import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME, load_peft, to_peft
from studio.peft.patches import ModulePatch

_USAGE = """import json

import timm
from peft import PeftModel

info = json.load(open("{folder}/backbone.json", encoding="utf-8"))
backbone = timm.create_model(info["model_name"].format(here="{folder}"), **info["arguments"])
for path, values in info["attributes"].items():
    vars(backbone.get_submodule(path)).update(values)
model = PeftModel.from_pretrained(backbone, "{folder}").eval()"""


@register
class PeftExporter(Exporter):
    """``adapter_config.json`` and ``adapter_model.safetensors``.

    The head is under ``modules_to_save``. The model adds in another order than the live one, as a merged one does,
    so the tolerance is the same.
    """

    name = "peft"
    label = N_("HF peft adapter")
    summary = N_("The adapter and the head in the format of Hugging Face peft, for the same timm backbone.")
    marker_file = CONFIG_NAME
    python_usage = _USAGE
    predict_packages = ("peft", "timm", "torch")

    def unsupported_reason(self, method: Method[Any]) -> str:
        """Return the reason for a method without a counterpart in HF peft."""
        return "" if method.peft_form else N_("HF peft has no counterpart of {method}.", method=method.label)

    def write(self, source: ExportSource, folder: Path) -> None:
        """Write the two files of HF peft, and ``backbone.json`` for timm."""
        converted = to_peft(source.model)
        adapted = [patch.path for patch in source.model.patches if isinstance(patch, ModulePatch)]
        tensors = {name: source.to_stored(tensor) for name, tensor in converted.tensors.items()}
        save_file(tensors, folder / SAFETENSORS_WEIGHTS_NAME, {"format": "pt"})
        write_json(folder / CONFIG_NAME, converted.config)
        backbone.write_backbone(source, list(dict.fromkeys(adapted)), folder)

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """Return the backbone with the adapter attached, without peft."""
        module: Callable[[Tensor], Tensor] = load_peft(backbone.rebuild_backbone(folder), folder).module
        return module
