"""Measure every backbone of the catalogue: ``python packaging/catalogue/measure.py``, some minutes.

Parameters and operations for one image are counted on networks built without weights, on the meta device, so that no
figure comes from a table. It writes ``resources/catalogue.json``. What cannot be counted is left out: it is unknown.
"""

import json
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial

import timm
import torch
from timm.layers import set_fused_attn
from timm.models import get_pretrained_cfg
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from studio.backbones import catalog
from studio.backbones.loading import build_on_meta, resolve_backbone
from studio.backbones.model_stats import STATS_FILE, stats_key
from studio.core.files import write_text
from studio.core.paths import resource
from studio.core.recipe import Backbone


def backbones() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Each pair of architecture and shape once: the key of its figures, and what builds it."""
    seen = set()
    for name in catalog.bundled_names():
        backbone = Backbone(name=name, source="bundled")
        config = resolve_backbone(backbone).pretrained_cfg
        yield stats_key(name, config["input_size"][-2:], config["num_classes"]), partial(build_on_meta, backbone)
    for name in timm.list_models(pretrained=True):
        config = get_pretrained_cfg(name)
        wanted = stats_key(name, config.input_size[-2:], config.num_classes) if config else ""
        if wanted and wanted not in seen:
            seen.add(wanted)
            yield wanted, partial(timm.create_model, name)


def measure(wanted: str, build: Callable[[], nn.Module]) -> tuple[int | None, int | None]:
    """Parameters, and floating point operations for one image; None where one cannot be counted."""
    try:
        with torch.device("meta"):
            module = build().eval().requires_grad_(False)
    except Exception as error:
        print(f"{wanted}: {type(error).__name__}: {error}", file=sys.stderr)
        return None, None
    return sum(p.numel() for p in module.parameters()), operations(wanted, module)


def operations(wanted: str, module: nn.Module) -> int | None:
    """Floating point operations for one image of the size in the network's configuration."""
    image = torch.empty(1, *module.pretrained_cfg["input_size"], device="meta")
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(image)
    except Exception as error:
        print(f"{wanted}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    return counter.get_total_flops() or None


def main() -> None:
    """Measure all, and write them down."""
    torch.set_num_threads(1)
    set_fused_attn(False)  # the counter sees the products that a fused kernel hides
    figures = {wanted: measure(wanted, build) for wanted, build in backbones()}
    known = {wanted: values for wanted, values in figures.items() if any(values)}
    rows = ",\n".join(f"  {json.dumps(wanted)}: {json.dumps(values)}" for wanted, values in sorted(known.items()))
    versions = {"timm": timm.__version__, "torch": torch.__version__, "python": platform.python_version()}
    write_text(resource(STATS_FILE), f'{{"measured_with": {json.dumps(versions)}, "figures": {{\n{rows}\n}}}}\n')
    print(f"{len(known)} of {len(figures)} measured")


if __name__ == "__main__":
    main()
