"""A Hugging Face peft folder: ``peft.PeftModel.from_pretrained(timm_model, DIR)``. Written without peft."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from studio.core.files import write_json
from studio.export import backbone
from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, register
from studio.peft.contract import Method
from studio.peft.hf import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME, load_peft, to_peft
from studio.peft.patches import ModulePatch


@register
class PeftExporter(Exporter):
    """``adapter_config.json`` and ``adapter_model.safetensors``, with the head under ``modules_to_save``.

    The sums are those of the live model in another order, as for a merged one, so the tolerance is the same.
    """

    name = "peft"
    label = "HF peft adapter"
    summary = "The adapter and the head as Hugging Face peft reads them, to go onto the same timm backbone."
    marker_file = CONFIG_NAME
    predict_script = SCRIPTS_DIR / "predict_peft.py"
    verify_packages = ("peft",)

    def unsupported_reason(self, method: Method[Any]) -> str:
        """HF peft has forms for the LoRA family, (IA)^3 and LayerNorm tuning."""
        return "" if method.peft_form else f"HF peft has no form for {method.label} on images."

    def write(self, source: ExportSource, folder: Path) -> None:
        """Write the two files of HF peft, and ``backbone.json``, which says how timm makes the backbone."""
        made = to_peft(source.model)
        adapted = [change.path for change in source.model.patches if isinstance(change, ModulePatch)]
        tensors = {name: source.to_stored(tensor) for name, tensor in made.tensors.items()}
        save_file(tensors, folder / SAFETENSORS_WEIGHTS_NAME, {"format": "pt"})
        write_json(folder / CONFIG_NAME, made.config)
        backbone.write_backbone(source, list(dict.fromkeys(adapted)), folder)

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The backbone with the adapter attached, without peft."""
        module: Callable[[Tensor], Tensor] = load_peft(backbone.rebuild_backbone(folder), folder).module
        return module
