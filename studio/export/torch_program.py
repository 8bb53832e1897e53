"""The whole computation as one torch.export program: needs torch alone, for every method."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, register


@register
class TorchProgramExporter(Exporter):
    """``model.pt2``, with any number of images a batch. Its operations are those of the live model."""

    name = "torch"
    label = "torch program"
    summary = "The attached backbone as one program for torch.export.load, whatever the method. Needs torch alone."
    marker_file = "model.pt2"
    predict_script = SCRIPTS_DIR / "predict_torch.py"

    def write(self, source: ExportSource, folder: Path) -> None:
        """Trace and save."""
        torch.export.save(trace_program(source), folder / "model.pt2")

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The program as a function."""
        return torch.export.load(folder / "model.pt2").module()


def trace_program(source: ExportSource) -> torch.export.ExportedProgram:
    """The attached backbone as a program on the CPU, for a batch of any size."""
    module = _with_storage_precision(source, source.model.module.cpu().eval())
    example = torch.zeros(2, 3, *source.preprocessing.size)
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    with torch.no_grad():
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},))


class HalfStorage(nn.Module):
    """A network whose weights are kept in float16 and computed with in float32."""

    def __init__(self, network: nn.Module, to_stored: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network = (network,)  # in a tuple, so that its own tensors are no part of this
        tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        self.names = tuple(name for name, tensor in tensors.items() if tensor.is_floating_point())
        for index, name in enumerate(self.names):
            self.register_buffer(f"weight_{index}", to_stored(tensors[name]))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, height, width)."""
        weights = {name: self.get_buffer(f"weight_{index}").float() for index, name in enumerate(self.names)}
        return torch.func.functional_call(self.network[0], weights, (images,))


def _with_storage_precision(source: ExportSource, module: nn.Module) -> nn.Module:
    return module if source.precision == "float32" else HalfStorage(module, source.to_stored).eval()
