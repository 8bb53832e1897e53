"""A plain timm model folder with everything folded in: ``timm.create_model("local-dir:DIR", pretrained=True)``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from studio.backbones.loading import resolve_backbone
from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, register
from studio.peft.contract import Method


@register
class MergedExporter(Exporter):
    """``config.json`` and ``model.safetensors`` as timm reads them; neither this program nor peft is needed afterwards.

    Folding rounds each weight once to float32, which through a deep network comes to a few units in the seventh digit
    of the logits; 1e-5 of the largest one leaves room for that and for little else.
    """

    name = "merged"
    label = "merged timm model"
    summary = "The backbone with everything folded into its weights. It costs nothing extra and loads with timm alone."
    marker_file = "model.safetensors"
    predict_script = SCRIPTS_DIR / "predict_merged.py"

    def unsupported_reason(self, method: Method[Any]) -> str:
        """The method's own reason why it does not merge."""
        return method.not_mergeable_reason

    def write(self, source: ExportSource, folder: Path) -> None:
        """Fold, then write the weights and the configuration that rebuilds the architecture."""
        from timm.models import save_for_hf

        module = _convert_tensors(source, source.model.merge())
        save_for_hf(
            module,
            str(folder),
            model_config={
                "label_names": list(source.labels),
                "pretrained_cfg": _timm_preprocessing(source),
                "model_args": resolve_backbone(source.recipe.backbone).model_args,
            },
            safe_serialization=True,
        )

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The folder as timm loads it."""
        import timm

        module: Callable[[Tensor], Tensor] = timm.create_model(f"local-dir:{folder.absolute()}", pretrained=True).eval()
        return module


def _convert_tensors(source: ExportSource, module: nn.Module) -> nn.Module:
    """The tensors as they are stored, each in one piece, as safetensors wants them."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = source.to_stored(tensor)
    return module


def _timm_preprocessing(source: ExportSource) -> dict[str, Any]:
    """What the run did to its images, in timm's words."""
    used = source.preprocessing
    return {
        "input_size": (3, *used.size),
        "mean": used.mean,
        "std": used.std,
        "interpolation": used.interpolation,
        "crop_pct": used.crop_pct,
        "crop_mode": used.crop_mode,
    }
