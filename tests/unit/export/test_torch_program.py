"""Every method as a torch program, and one of each family as an ONNX file, for batches of any size."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from studio.export import exporters
from studio.peft.contract import METHODS
from studio.testing.cases import first_accepted
from studio.testing.families import FAMILIES
from tests.unit.export.conftest import MakeSubject

FORMATS = {"torch": 1e-5, "onnx": 1e-4}


def cases() -> Iterator[tuple[str, str]]:
    families = {method.family: method.name for method in METHODS}
    yield from ((method.name, "torch") for method in METHODS)
    yield from ((name, "onnx") for name in families.values())


@pytest.mark.parametrize(("name", "form"), list(cases()))
@pytest.mark.slow
def test_a_loaded_export_gives_the_same_logits_for_batches_of_any_size(
    name: str, form: str, make_subject: MakeSubject, tmp_path: Path
) -> None:
    (case,) = first_accepted([name])
    size = FAMILIES[case.family].size
    subject = make_subject([])
    preprocessing = dataclasses.replace(subject.preprocessing, size=(size, size))
    subject = dataclasses.replace(subject, model=case.trained(), preprocessing=preprocessing)
    exporter = exporters.get(form)
    exporter.write(subject, tmp_path)
    loaded = exporter.load(tmp_path)
    for count in (1, 3):
        images = torch.linspace(-2, 2, count * 3 * size * size).view(count, 3, size, size)
        with torch.inference_mode():
            live, other = subject.model.module(images), loaded(images)
        assert other.shape == live.shape
        assert float((other - live).abs().max()) <= FORMATS[form] * max(1.0, float(live.abs().max()))
