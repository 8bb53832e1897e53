"""HF peft reads our folders and we read its, with the same logits; a LoRA training step equals its own."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import AdaptedModel, attach
from studio.peft.hf import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME, from_peft, load_peft, to_peft
from studio.testing.families import build_backbone, random_images

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

TOLERANCE = 1e-5
QKV = "**.qkv"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def site(name: str, method: str, *at: str, slices: tuple[str, ...] = (), **config: Any) -> Attachment:
    return Attachment(name=name, method=method, at=at, slices=slices, config=config)


@torch.no_grad()
def disturb(module: nn.Module, attached: AdaptedModel | None = None) -> None:
    """Move everything that trains, as training would."""
    trained = attached.parameters() if attached else (p for p in module.parameters() if p.requires_grad)
    for parameter in trained:
        parameter.add_(0.1 * torch.randn_like(parameter))


@torch.no_grad()
def logits(module: nn.Module, family: str) -> Tensor:
    return module.eval()(random_images(family))


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / one.abs().max().clamp_min(1))


def written(attached: AdaptedModel, folder: Path) -> Path:
    made = to_peft(attached)
    folder.mkdir(exist_ok=True)
    (folder / CONFIG_NAME).write_text(json.dumps(made.config))
    save_file(made.tensors, folder / SAFETENSORS_WEIGHTS_NAME, {"format": "pt"})
    return folder


def called(module: nn.Module) -> nn.Module:
    """A backbone that calls its qkv, as a user of HF peft has to make it."""
    for layer in module.modules():
        if getattr(layer, "qkv_bias_separate", None) is False:
            layer.qkv_bias_separate = True
    return module


OURS: dict[str, tuple[str, list[Attachment]]] = {
    "lora": ("vit", [site("a", "lora", QKV, "**.fc1")]),
    "lora on a convolution": ("convnext", [site("a", "lora", "stem.0", "stages.*.downsample.1", rank=4)]),
    "lora before batch norms": ("efficientnet", [site("a", "lora", "conv_stem", "blocks.*.*.conv_pw", rank=4)]),
    "lora where names end alike": ("resnet", [site("a", "lora", "conv1", rank=2), site("b", "lora", "layer1.0.conv1")]),
    "slices of one rank": ("vit", [site("a", "lora", QKV, slices=("q", "v"), alpha=16)]),
    "slices of unequal ranks": (
        "vit",
        [
            site("a", "lora", QKV, slices=("q",), rank=4, alpha=8),
            site("b", "lora", QKV, slices=("v",), rank=2, alpha=3),
            site("c", "lora", "blocks.0.mlp.fc2", rank=3),
        ],
    ),
    "rslora": ("vit", [site("a", "rslora", QKV, alpha=5)]),
    "dora": ("vit", [site("a", "dora", QKV, "**.fc2")]),
    "dora on slices, beside lora": (
        "vit",
        [
            site("a", "dora", QKV, slices=("q",), rank=4),
            site("b", "lora", QKV, slices=("v",), rank=2),
            site("c", "lora", "**.fc1", rank=2, alpha=3),
        ],
    ),
    "dora over lora": ("vit", [site("a", "lora", "**.fc1", rank=2), site("b", "dora", "**.fc1", rank=3, alpha=7)]),
    "dora on a convolution": ("resnet", [site("a", "dora", "layer1.*.conv2", rank=4)]),
    "pissa": ("vit", [site("a", "pissa", QKV, slices=("q", "k"), rank=3), site("b", "pissa", "**.fc1", rank=2)]),
    "pissa on a convolution": ("resnet", [site("a", "pissa", "layer2.0.conv2", rank=4)]),
    "lora twice": ("vit", [site("a", "lora", QKV), site("b", "lora", QKV, slices=("v",), rank=2)]),
    "lora beside norms": ("vit", [site("a", "lora", QKV), site("b", "norm_tuning", "**.norm*", "norm")]),
    "ia3": ("vit", [site("a", "ia3", QKV, "**.fc2", slices=("k", "v"))]),
    "ia3 on a convolution": ("resnet", [site("a", "ia3", "layer1.*.conv1"), site("b", "ia3", "conv1", scales="input")]),
    "ia3 on a biased attention": ("beit", [site("a", "ia3", QKV, slices=("k", "v"))]),
    "ia3 twice": ("vit", [site("a", "ia3", QKV, slices=("k", "v")), site("b", "ia3", QKV)]),
    "norms": ("vit", [site("a", "norm_tuning", "**.norm*", "norm")]),
    "batch norms": ("resnet", [site("a", "norm_tuning", "**.bn1", "bn1")]),
    **{
        f"lora on {name}": (name, [site("a", "lora", QKV, slices=("q", "v"))])
        for name in ("beit", "eva02-fused", "swinv2")
    },
    "two heads": ("deit-distilled", [site("a", "lora", QKV)]),
    "head.fc": ("swin", [site("a", "lora", QKV)]),
    "classifier": ("mobilenetv3", [site("a", "lora", "**.conv_pw", rank=4)]),
}


@pytest.mark.parametrize("name", OURS)
def test_peft_reads_what_we_write(name: str, tmp_path: Path) -> None:
    family, attachments = OURS[name]
    attached = attach(build_backbone(family), attachments)
    disturb(attached.module, attached)
    ours = logits(attached.module, family)
    folder = written(attached, tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(called(build_backbone(family)), folder)
    assert difference(ours, logits(build_backbone(family), family)) > 1e-3
    assert difference(ours, logits(loaded, family)) < TOLERANCE
    assert difference(ours, logits(loaded.merge_and_unload(), family)) < TOLERANCE


@pytest.mark.parametrize("name", OURS)
def test_we_read_what_we_wrote(name: str, tmp_path: Path) -> None:
    family, attachments = OURS[name]
    attached = attach(build_backbone(family), attachments)
    disturb(attached.module, attached)
    folder = written(attached, tmp_path / "adapter")
    again = load_peft(build_backbone(family), folder)
    assert difference(logits(attached.module, family), logits(again.module, family)) < TOLERANCE
    assert difference(logits(attached.module, family), logits(again.merge(), family)) < TOLERANCE


@pytest.mark.parametrize("method", ["lora", "dora"])
@pytest.mark.parametrize("geometry", [{"stride": 2}, {"stride": 2, "kernel_size": 5}, {"padding": 1}])
@torch.no_grad()
def test_convolutions_that_pad_as_needed(method: str, geometry: dict[str, int], tmp_path: Path) -> None:
    """timm's Conv2dSame, of the networks that came from TensorFlow."""
    kind = nn.Conv2d if "padding" in geometry else timm.layers.Conv2dSame
    plain = nn.Sequential(kind(3, 8, **{"kernel_size": 3, **geometry}))
    x = torch.randn(2, 3, 11, 11)
    attached = attach(copy.deepcopy(plain), [site("a", method, "0", rank=2)], head=False)
    disturb(attached.module, attached)
    ours = attached.module(x)
    folder = written(attached, tmp_path)
    assert difference(ours, peft.PeftModel.from_pretrained(copy.deepcopy(plain), folder)(x)) < TOLERANCE
    assert difference(ours, load_peft(copy.deepcopy(plain), folder).module(x)) < TOLERANCE
    assert difference(ours, attached.merge()(x)) < TOLERANCE
    assert difference(ours, plain(x)) > 1e-3


def test_slices_come_back_as_slices(tmp_path: Path) -> None:
    """The scales of several combined adapters go into B, so that alpha is the rank."""
    _, attachments = OURS["slices of unequal ranks"]
    attached = attach(build_backbone("vit"), attachments)
    disturb(attached.module, attached)
    read = from_peft(written(attached, tmp_path), build_backbone("vit")).attachments
    assert {(a.at, a.slices, a.config["rank"], a.config["alpha"]) for a in read} == {
        (("blocks.*.attn.qkv",), ("q",), 4, 4.0),
        (("blocks.*.attn.qkv",), ("v",), 2, 2.0),
        (("blocks.0.mlp.fc2",), (), 3, 8.0),
    }


def test_only_stable_keys_and_full_names_are_written() -> None:
    attached = attach(build_backbone("vit"), OURS["slices of unequal ranks"][1])
    config = to_peft(attached).config
    assert config["target_modules"] == ["blocks.0.attn.qkv", "blocks.1.attn.qkv", "blocks.0.mlp.fc2"]
    assert config["rank_pattern"] == {"blocks.0.mlp.fc2": 3}
    assert set(config) == {
        *("auto_mapping", "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights"),
        *("lora_alpha", "lora_dropout", "modules_to_save", "peft_type", "r", "rank_pattern", "alpha_pattern"),
        *("revision", "target_modules", "task_type", "use_rslora", "use_dora"),
    }


LORA = peft.LoraConfig
THEIRS: dict[str, tuple[str, Callable[[], Any]]] = {
    "lora": ("vit", lambda: LORA(r=4, lora_alpha=6, target_modules=["qkv", "fc1"], modules_to_save=["head"])),
    "patterns": (
        "vit",
        lambda: LORA(
            r=4,
            target_modules=r".*\.(qkv|fc2)",
            rank_pattern={"blocks.0.attn.qkv": 2, "fc2": 3},
            alpha_pattern={r"blocks\.1\..*": 5},
        ),
    ),
    "rslora": ("vit", lambda: LORA(r=4, use_rslora=True, target_modules=["qkv"])),
    "dora": ("vit", lambda: LORA(r=4, use_dora=True, target_modules=["qkv", "fc1"], modules_to_save=["head"])),
    "rank-stabilised dora": ("vit", lambda: LORA(r=4, use_dora=True, use_rslora=True, target_modules=["qkv"])),
    "dora on a convolution": ("resnet", lambda: LORA(r=4, use_dora=True, target_modules=["layer1.0.conv1"])),
    "lora on a convolution": ("resnet", lambda: LORA(r=4, target_modules=["conv1"], modules_to_save=["fc"])),
    "biases": ("vit", lambda: LORA(r=2, bias="all", target_modules=["qkv"])),
    "other layers whole": (
        "vit",
        lambda: LORA(r=2, target_modules=["qkv"], modules_to_save=["head", "patch_embed", "norm1"]),
    ),
    "every linear layer": ("eva02", lambda: LORA(r=2, target_modules="all-linear", modules_to_save=["head"])),
    "ia3": ("vit", lambda: peft.IA3Config(target_modules=["qkv", "fc2"], feedforward_modules=["fc2"])),
    "ia3 on a biased attention": ("beit", lambda: peft.IA3Config(target_modules=["qkv"], feedforward_modules=[])),
    "ia3 on a convolution": (
        "resnet",
        lambda: peft.IA3Config(target_modules=["conv1", "layer1.0.conv1"], feedforward_modules=["layer1.0.conv1"]),
    ),
    "norms": ("vit", lambda: peft.LNTuningConfig(target_modules=["norm1", "norm2"], modules_to_save=["head"])),
    "batch norms": ("resnet", lambda: peft.LNTuningConfig(target_modules=["bn1"])),
}


@pytest.mark.parametrize("name", THEIRS)
def test_we_read_what_peft_writes(name: str, tmp_path: Path) -> None:
    family, config = THEIRS[name]
    theirs = peft.get_peft_model(called(build_backbone(family)), config())
    disturb(theirs)
    before = logits(theirs, family)
    theirs.save_pretrained(tmp_path)
    plain = build_backbone(family)
    bare = copy.deepcopy(plain.state_dict())
    attached = load_peft(plain, tmp_path)
    assert difference(before, logits(build_backbone(family), family)) > 1e-3
    assert difference(before, logits(attached.module, family)) < TOLERANCE
    assert difference(before, logits(attached.merge(), family)) < TOLERANCE
    attached.detach()
    assert all(torch.equal(tensor, bare[key]) for key, tensor in plain.state_dict().items())


def test_pissa_of_peft_is_read_where_it_was_converted(tmp_path: Path) -> None:
    theirs = peft.get_peft_model(build_backbone("vit"), LORA(r=3, init_lora_weights="pissa", target_modules=["qkv"]))
    theirs.peft_config["default"].init_lora_weights = True
    theirs.save_pretrained(tmp_path / "start")
    theirs.peft_config["default"].init_lora_weights = "pissa"
    disturb(theirs)
    before = logits(theirs, "vit")
    theirs.save_pretrained(tmp_path / "raw")
    theirs.save_pretrained(tmp_path / "done", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    with pytest.raises(StudioError, match="pissa"):
        load_peft(build_backbone("vit"), tmp_path / "raw")
    assert difference(before, logits(load_peft(build_backbone("vit"), tmp_path / "done").module, "vit")) < TOLERANCE


def test_names_of_the_wrapper_of_transformers_are_read(tmp_path: Path) -> None:
    attached = attach(build_backbone("vit"), OURS["slices of unequal ranks"][1])
    disturb(attached.module, attached)
    made = to_peft(attached)
    prefix = "base_model.model."
    tensors = {name.replace(prefix, f"{prefix}timm_model."): tensor for name, tensor in made.tensors.items()}
    patterns = {f"timm_model.{path}": value for path, value in made.config["alpha_pattern"].items()}
    (tmp_path / CONFIG_NAME).write_text(json.dumps(made.config | {"alpha_pattern": patterns}))
    save_file(tensors, tmp_path / SAFETENSORS_WEIGHTS_NAME)
    again = load_peft(build_backbone("vit"), tmp_path)
    assert difference(logits(attached.module, "vit"), logits(again.module, "vit")) < TOLERANCE


@pytest.mark.parametrize(
    ("family", "attachments", "sentence"),
    [
        ("vit", [site("a", "ssf", "**.fc1")], "no form for SSF"),
        ("vit", [site("a", "bitfit", ".")], "no form for BitFit"),
        ("vit", [site("a", "linear_probe", ".")], "head that trains alone"),
        ("vit", [site("a", "lora", QKV), site("b", "ia3", "**.fc2")], "IA3, LORA"),
        ("vit", [site("a", "dora", QKV), site("b", "lora", QKV)], "on top of the same rows"),
        ("vit", [site("a", "ia3", "**.fc2"), site("b", "ia3", "**.fc2", scales="output")], "input and the output"),
    ],
)
def test_what_peft_cannot_hold_is_refused(family: str, attachments: list[Attachment], sentence: str) -> None:
    with pytest.raises(StudioError, match=re.escape(sentence)):
        to_peft(attach(build_backbone(family), attachments))


def test_an_odd_convolution_is_refused() -> None:
    module = build_backbone("resnet")
    module.layer1[0].conv2.dilation, module.layer1[0].conv2.padding = (2, 2), (2, 2)
    with pytest.raises(StudioError, match="dilation"):
        to_peft(attach(module, [site("a", "lora", "layer1.0.conv2")]))


def spoiled(folder: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> Path:
    config, tensors = json.loads((folder / CONFIG_NAME).read_text()), load_file(folder / SAFETENSORS_WEIGHTS_NAME)
    change(config, tensors)
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    save_file(tensors, folder / SAFETENSORS_WEIGHTS_NAME)
    return folder


FIRST = "base_model.model.blocks.0.attn.qkv."
SPOILS: dict[str, tuple[Callable[[dict[str, Any], dict[str, Tensor]], None], str]] = {
    "another type": (lambda c, t: c.update(peft_type="LOHA"), "no counterpart"),
    "another sum": (lambda c, t: c.update(use_bdlora=True), "use_bdlora"),
    "half a LoRA": (lambda c, t: t.pop(f"{FIRST}lora_B.weight"), "are missing"),
    "an unknown layer": (lambda c, t: t.update({"base_model.model.nowhere.weight": torch.ones(1)}), "no such layer"),
    "an unknown tensor": (lambda c, t: t.update({f"{FIRST}lora_C.weight": torch.ones(1)}), "no such layer"),
    "another shape": (
        lambda c, t: t.update({f"{FIRST}lora_A.weight": torch.ones(8, 7)}),
        "does not fit its shape",
    ),
    "no number": (lambda c, t: t[f"{FIRST}lora_A.weight"].fill_(torch.nan), "not finite"),
    "another head": (lambda c, t: t.update({"base_model.model.head.bias": torch.ones(9)}), "head.bias"),
    "no type": (lambda c, t: c.pop("peft_type"), "peft_type"),
    "a word for a number": (lambda c, t: c.update(lora_alpha="much"), "lora_alpha"),
    "a broken pattern": (lambda c, t: c.update(alpha_pattern={"(": 1}), "regular expression"),
    "a list": (lambda c, t: c.update(alpha_pattern=[1]), "alpha_pattern"),
    "no strength": (lambda c, t: c.update(lora_alpha=0), "alpha"),
    "no rank": (
        lambda c, t: t.update({f"{FIRST}lora_A.weight": torch.ones(0, 32), f"{FIRST}lora_B.weight": torch.ones(96, 0)}),
        "does not fit its shape",
    ),
    "numbers for a block": (
        lambda c, t: t.update({f"base_model.model.blocks.0.lora_{x}.weight": torch.tensor(1.0) for x in "AB"}),
        "does not fit its shape",
    ),
    "vectors for a norm": (
        lambda c, t: t.update({f"base_model.model.norm.lora_{x}.weight": torch.ones(32) for x in "AB"}),
        "LayerNorm|does not fit its shape",
    ),
    "whole numbers": (lambda c, t: t.update({f"{FIRST}lora_A.weight": torch.ones(8, 32).int()}), "torch.int32"),
    "complex numbers": (lambda c, t: t.update({f"{FIRST}lora_A.weight": torch.ones(8, 32) * 1j}), "torch.complex64"),
    "DoRA without magnitudes": (lambda c, t: c.update(use_dora=True), "are missing"),
    "LoRA called (IA)^3": (lambda c, t: c.update(peft_type="IA3"), "no such layer"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_folder_is_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    change, sentence = SPOILS[name]
    folder = spoiled(written(attach(build_backbone("vit"), OURS["lora"][1]), tmp_path), change)
    module = build_backbone("vit")
    children = [path for path, _ in module.named_modules()]
    with pytest.raises(StudioError, match=sentence):
        load_peft(module, folder)
    assert [path for path, _ in module.named_modules()] == children


def test_scales_of_another_size_are_refused_where_biases_follow_from_them(tmp_path: Path) -> None:
    written(attach(build_backbone("beit"), [site("a", "ia3", QKV)]), tmp_path)
    scale = "base_model.model.blocks.0.attn.qkv.ia3_l"
    spoiled(tmp_path, lambda c, t: t.update({scale: torch.ones(7, 1)}))
    with pytest.raises(StudioError, match=r"blocks\.0\.attn\.qkv"):
        load_peft(build_backbone("beit"), tmp_path)


def test_pickles_missing_files_and_endless_nesting_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="cannot be read"):
        load_peft(build_backbone("vit"), tmp_path)
    (tmp_path / CONFIG_NAME).write_text("[" * 100_000)
    with pytest.raises(StudioError, match="damaged"):
        load_peft(build_backbone("vit"), tmp_path)
    (tmp_path / CONFIG_NAME).write_text('{"peft_type": "LORA"}')
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(StudioError, match="Cannot read"):
        load_peft(build_backbone("vit"), tmp_path)


def test_statistics_that_moved_are_refused(tmp_path: Path) -> None:
    theirs = peft.get_peft_model(build_backbone("resnet"), peft.LNTuningConfig(target_modules=["bn1"]))
    theirs.train()(random_images("resnet"))
    theirs.save_pretrained(tmp_path)
    with pytest.raises(StudioError, match="running_mean"):
        load_peft(build_backbone("resnet"), tmp_path)


def test_ten_lora_steps_equal_those_of_peft() -> None:
    """Bar 7: the same start, ten optimizer steps, losses equal to within 1e-6."""
    make = lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3, num_classes=7)  # noqa: E731
    start = make().state_dict()
    one, other = make(), make()
    one.load_state_dict(start), other.load_state_dict(start)
    ours = attach(one, [site("a", "lora", QKV, alpha=16)]).train()
    theirs = peft.get_peft_model(other, LORA(r=8, lora_alpha=16, target_modules=["qkv"], modules_to_save=["head"]))
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora_A" in name:
                path = name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight")
                parameter.copy_(ours.state_dict()[f"a/{path}/lora_A"])
    theirs.eval()
    expected = losses(theirs, [p for p in theirs.parameters() if p.requires_grad])
    found = losses(ours.module, list(ours.parameters()))
    assert expected[-1] < expected[0]
    assert found == pytest.approx(expected, rel=1e-6)


def losses(module: nn.Module, parameters: list[nn.Parameter]) -> list[float]:
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(4, 3, 64, 64, generator=generator), torch.randint(0, 7, (4,), generator=generator)
    found = []
    for _ in range(10):
        loss = nn.functional.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
