"""torch format: one torch.export program, for every method."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.core.messages import N_
from studio.export.contract import Exporter, ExportSource, register


@register
class TorchProgramExporter(Exporter):
    """``model.pt2``, for batches of any size, with the live model's operations."""

    name = "torch"
    label = N_("torch program")
    summary = N_(
        "The backbone with the adapter as one program for torch.export.load, for every method: needs only torch."
    )
    marker_file = "model.pt2"
    python_usage = 'import torch\n\nmodel = torch.export.load("{folder}/model.pt2").module()'
    predict_packages = ("torch",)
    slow = True

    def write(self, source: ExportSource, folder: Path) -> None:
        """Trace and save."""
        torch.export.save(trace_program(source), folder / "model.pt2")

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """Return the program as a function."""
        return torch.export.load(folder / "model.pt2").module()


def trace_program(source: ExportSource) -> torch.export.ExportedProgram:
    """Trace the adapted model on the CPU, for batches of any size."""
    module = _with_storage_precision(source, source.model.module.cpu().eval())
    example = torch.zeros(2, 3, *source.preprocessing.size)
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    with torch.no_grad():
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},))


class HalfStorage(nn.Module):
    """A network with weights stored in float16, which computes in float32."""

    def __init__(self, network: nn.Module, to_stored: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network = (network,)  # in a tuple, so that its own tensors are not registered here
        tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        self.names = tuple(name for name, tensor in tensors.items() if tensor.is_floating_point())
        for index, name in enumerate(self.names):
            self.register_buffer(f"weight_{index}", to_stored(tensors[name]))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of images (N, 3, height, width)."""
        weights = {name: self.get_buffer(f"weight_{index}").float() for index, name in enumerate(self.names)}
        return torch.func.functional_call(self.network[0], weights, (images,))


def _with_storage_precision(source: ExportSource, module: nn.Module) -> nn.Module:
    return module if source.precision == "float32" else HalfStorage(module, source.to_stored).eval()
