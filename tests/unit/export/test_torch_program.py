"""Traced formats for batches of any size: every method as a torch program, one of each family in the others."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from studio.export import EXPORTERS
from studio.peft.contract import METHODS
from studio.testing.cases import first_accepted
from studio.testing.families import FAMILIES
from tests.unit.export.conftest import MakeSource

OTHERS = [exporter.name for exporter in EXPORTERS if exporter.slow and exporter.name != "torch"]


def cases() -> Iterator[tuple[str, str]]:
    families = {method.family: method.name for method in METHODS}
    yield from ((method.name, "torch") for method in METHODS)
    yield from ((name, form) for form in OTHERS for name in families.values())


@pytest.mark.parametrize(("name", "form"), list(cases()))
@pytest.mark.slow
def test_a_loaded_export_gives_the_same_logits_for_batches_of_any_size(
    name: str, form: str, make_source: MakeSource, tmp_path: Path
) -> None:
    (case,) = first_accepted([name])
    size = FAMILIES[case.family].size
    source = make_source([])
    preprocessing = dataclasses.replace(source.preprocessing, size=(size, size))
    source = dataclasses.replace(source, model=case.trained(), preprocessing=preprocessing)
    exporter = EXPORTERS.get(form)
    exporter.write(source, tmp_path)
    loaded = exporter.load(tmp_path)
    for count in (1, 3):
        images = torch.linspace(-2, 2, count * 3 * size * size).view(count, 3, size, size)
        with torch.inference_mode():
            live, other = source.model.module(images), loaded(images)
        assert other.shape == live.shape
        assert float((other - live).abs().max()) <= exporter.tolerance(source, float(live.abs().max()))
