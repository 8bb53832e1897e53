"""ONNX format: one file for onnxruntime and other ONNX readers, for every method."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from studio.core.messages import N_
from studio.export.contract import Exporter, ExportSource, register
from studio.export.torch_program import trace_program

OPSET = 18


@register
class OnnxExporter(Exporter):
    """``model.onnx`` with its weights, for batches of any size.

    It maps "images" (N, 3, height, width) to "logits" (N, classes). The tolerance is 1e-4 of the largest logit, because
    onnxruntime fuses operations and so adds in another order.
    """

    name = "onnx"
    label = N_("ONNX")
    summary = N_(
        "The backbone with the adapter as one ONNX file, for every method: runs with onnxruntime, without torch."
    )
    marker_file = "model.onnx"
    python_usage = 'import onnxruntime\n\nmodel = onnxruntime.InferenceSession("{folder}/model.onnx")'
    packages = ("onnx", "onnxscript", "onnxruntime")
    extra = "onnx"
    predict_packages = ("onnxruntime",)
    slow = True
    relative_tolerance = 1e-4

    def write(self, source: ExportSource, folder: Path) -> None:
        """Trace, convert, check and save."""
        import onnx

        path = folder / "model.onnx"
        # no_grad as while tracing: with gradients attention uses other kernels
        with _suppress_warnings(), torch.no_grad():
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
        """Return the file as a function that onnxruntime runs."""
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


@contextlib.contextmanager
def _suppress_warnings() -> Iterator[None]:
    """Silence warnings and log records, which concern the converter; keep errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
