"""One ONNX file for onnxruntime and everything else that reads ONNX, for every method."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, register
from studio.export.torch_program import trace_program

OPSET = 18


@register
class OnnxExporter(Exporter):
    """``model.onnx``, weights inside, input "images" (N, 3, height, width) with any N, output "logits" (N, classes).

    onnxruntime has kernels of its own and fuses operations, so sums run in another order: 1e-4 of the largest logit.
    """

    name = "onnx"
    label = "ONNX"
    summary = "The attached backbone as one ONNX file, whatever the method. Runs with onnxruntime, without torch."
    marker_file = "model.onnx"
    predict_script = SCRIPTS_DIR / "predict_onnx.py"
    required_packages = ("onnx", "onnxscript", "onnxruntime")
    verify_packages = ("onnxruntime",)
    relative_tolerance = 1e-4

    def write(self, source: ExportSource, folder: Path) -> None:
        """Trace, translate, check and save."""
        import onnx

        path = folder / "model.onnx"
        with (
            _suppress_warnings(),
            torch.no_grad(),
        ):  # as when it was traced: attention takes other kernels where gradients are kept
            torch.onnx.export(
                trace_program(source),
                f=path,
                input_names=["images"],
                output_names=["logits"],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        onnx.checker.check_model(path)

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The file as onnxruntime runs it."""
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


@contextlib.contextmanager
def _suppress_warnings() -> Iterator[None]:
    """The translation says much that concerns its own makers; errors still come through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
