"""Merged format: a plain timm model.

``timm.create_model("local-dir:DIR", pretrained=True)`` loads it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from studio.backbones.loading import resolve_backbone
from studio.core.messages import N_
from studio.export.contract import Exporter, ExportSource, register
from studio.peft.contract import Method


@register
class MergedExporter(Exporter):
    """``config.json`` and ``model.safetensors`` for timm.

    They need neither this program nor peft. Merging rounds each weight once to float32, which through a deep network
    amounts to a few units in the seventh digit of the logits; a tolerance of 1e-5 of the largest one allows that and
    little more.
    """

    name = "merged"
    label = N_("merged timm model")
    summary = N_("The backbone with the adapter merged into its weights: no extra inference cost, needs only timm.")
    marker_file = "model.safetensors"
    python_usage = 'import timm\n\nmodel = timm.create_model("local-dir:{folder}", pretrained=True).eval()'
    predict_packages = ("timm", "torch")

    def unsupported_reason(self, method: Method[Any]) -> str:
        """Return the method's own reason why it does not merge."""
        return method.not_mergeable_reason

    def write(self, source: ExportSource, folder: Path) -> None:
        """Merge, then write the weights and the configuration of the architecture."""
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
        """Return the model as timm loads it."""
        import timm

        module: Callable[[Tensor], Tensor] = timm.create_model(f"local-dir:{folder.absolute()}", pretrained=True).eval()
        return module


def _convert_tensors(source: ExportSource, module: nn.Module) -> nn.Module:
    """Convert the tensors to their stored form, in place."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = source.to_stored(tensor)
    return module


def _timm_preprocessing(source: ExportSource) -> dict[str, Any]:
    """Return the run's preprocessing as timm's configuration."""
    used = source.preprocessing
    return {
        "input_size": (3, *used.size),
        "mean": used.mean,
        "std": used.std,
        "interpolation": used.interpolation,
        "crop_pct": used.crop_pct,
        "crop_mode": used.crop_mode,
    }
