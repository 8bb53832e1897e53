"""Traced format: a TorchScript file."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from studio.api import Exporter, ExportSource, register_exporter


@register_exporter
class TracedExporter(Exporter):
    """``model.ts``, for batches of any size."""

    name = "traced"
    label = "TorchScript"
    summary = "The model as one TorchScript file."
    marker_file = "model.ts"
    predict_script = Path(__file__).with_name("all_predict_traced.py")
    python_usage = 'import torch\n\nmodel = torch.jit.load("{folder}/model.ts")'
    predict_packages = ("torch",)

    def write(self, source: ExportSource, folder: Path) -> None:
        """Trace and save the model."""
        example = torch.zeros(2, 3, *source.preprocessing.size)
        module = source.model.module.cpu().eval()
        with torch.no_grad():
            torch.jit.trace(module, example, check_trace=False).save(folder / "model.ts")

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """Return the traced model."""
        return torch.jit.load(folder / "model.ts")
