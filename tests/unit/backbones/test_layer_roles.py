"""The layer tree of each family of timm, on real architectures, without weights."""

from collections import Counter
from dataclasses import dataclass

import pytest
import timm
import torch
from timm.layers import StdConv2d
from torch import nn

from studio.backbones.layer_roles import call_through_flag, classifier_paths, describe_layers
from studio.core.layers import Layer, Role
from studio.peft import METHODS
from studio.peft.targets import default_attachment


@dataclass(frozen=True)
class Expected:
    """How many layers of each role there are in an architecture, and where the first ones are."""

    blocks: int
    qkv: int = 0
    q_k_v: int = 0
    o: int = 0
    mlp: int = 0
    fc1: int = 0
    fc2: int = 0
    slices: int = 0
    heads: tuple[str, ...] = ("head",)
    prefix: int | None = None
    stem: str = "patch_embed"
    first: str = "blocks.0"
    stages: int = 0
    scales: int = 0


def transformer(blocks: int, **others: object) -> Expected:
    """As many of each as there are blocks, with a fused qkv whose rows can be told apart."""
    same = dict.fromkeys(("qkv", "o", "mlp", "fc1", "fc2", "slices"), blocks)
    return Expected(blocks, **(same | others))


EXPECTED = {
    "vit_base_patch16_224": transformer(12, prefix=1),
    "deit_base_distilled_patch16_224": transformer(12, prefix=2, heads=("head", "head_dist")),
    "vit_small_patch14_reg4_dinov2": transformer(12, prefix=5, scales=24),
    "vit_base_patch16_siglip_224": transformer(12, prefix=0),
    "beit_base_patch16_224": transformer(12, prefix=1),
    "eva02_base_patch14_224": transformer(12, qkv=0, slices=0, q_k_v=12, fc1=24, prefix=1),
    "eva02_tiny_patch14_224": transformer(12, prefix=1),
    "eva_large_patch14_196": transformer(24, prefix=1),
    "vit_base_patch16_dinov3": transformer(12, prefix=5),
    "swin_tiny_patch4_window7_224": transformer(12, heads=("head.fc",), first="layers.0.blocks.0", stages=4),
    "swinv2_tiny_window8_256": transformer(12, heads=("head.fc",), first="layers.0.blocks.0", stages=4),
    "convnext_tiny": Expected(
        18, mlp=18, fc1=18, fc2=18, heads=("head.fc",), stem="stem", first="stages.0.blocks.0", stages=4
    ),
    "efficientnet_b0": Expected(16, heads=("classifier",), stem="conv_stem", first="blocks.0.0", stages=7),
    "mobilenetv3_large_100": Expected(16, heads=("classifier",), stem="conv_stem", first="blocks.0.0", stages=7),
    "resnet50": Expected(16, heads=("fc",), stem="", first="layer1.0", stages=4),
    "maxvit_tiny_tf_224": Expected(
        11, 22, 0, 22, 22, 22, 22, heads=("head.fc",), stem="stem", first="stages.0.blocks.0", stages=4
    ),
    "regnety_032": Expected(21, heads=("head.fc",), stem="stem", first="s1.b1", stages=4),
    "nf_resnet50": Expected(16, heads=("head.fc",), stem="stem", first="stages.0.0", stages=4),
    "cait_xxs24_224": Expected(26, 24, 2, 26, 26, 26, 26),
}


def on_meta(architecture: str, **arguments: object) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(architecture, num_classes=10, **arguments)


def paths(rows: tuple[Layer, ...], role: Role) -> list[str]:
    return [row.path for row in rows if row.role is role]


@pytest.mark.parametrize("architecture", EXPECTED)
def test_roles_of_each_family(architecture: str) -> None:
    expected = EXPECTED[architecture]
    module = on_meta(architecture)
    rows = describe_layers(module)
    count = Counter(row.role for row in rows)
    assert paths(rows, Role.BLOCK)[0] == expected.first
    found = Expected(
        blocks=count[Role.BLOCK],
        qkv=count[Role.QKV],
        q_k_v=count[Role.Q],
        o=count[Role.O],
        mlp=count[Role.MLP],
        fc1=count[Role.FC1],
        fc2=count[Role.FC2],
        slices=sum(1 for row in rows if row.slices),
        heads=classifier_paths(module),
        prefix=rows[0].prefix_tokens,
        stem=next(iter(paths(rows, Role.PATCH_EMBEDDING)), ""),
        first=paths(rows, Role.BLOCK)[0],
        stages=count[Role.STAGE],
        scales=count[Role.SCALE],
    )
    assert found == expected
    assert count[Role.Q] == count[Role.K] == count[Role.V]


@pytest.mark.parametrize("architecture", ["vit_base_patch16_224", "swin_tiny_patch4_window7_224", "resnet50"])
def test_rows_are_the_module_tree(architecture: str) -> None:
    module = on_meta(architecture)
    rows = describe_layers(module)
    assert [row.path for row in rows] == [path for path, _ in module.named_modules(remove_duplicate=False)]
    assert rows[0].parameters == sum(p.numel() for p in module.parameters())
    assert sum(row.own_parameters for row in rows) == rows[0].parameters
    blocks = [row for row in rows if row.role is Role.BLOCK]
    assert [row.block for row in blocks] == list(range(len(blocks)))
    assert all(row.block is not None for row in rows if row.path.startswith(blocks[3].path + "."))


def test_the_head_is_found_without_a_configuration() -> None:
    module = on_meta("efficientnet_b0")
    module.pretrained_cfg = None
    assert classifier_paths(module) == ("classifier",)
    assert classifier_paths(nn.Linear(2, 2)) == ()


def test_a_network_without_classes_has_no_head() -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    assert classifier_paths(module) == ()


def test_squeeze_and_excitation_is_no_mlp() -> None:
    rows = {row.path: row for row in describe_layers(on_meta("maxvit_tiny_tf_224"))}
    assert rows["stages.0.blocks.0.conv.se.fc1"].role is Role.CONV
    assert rows["stages.0.blocks.0.conv.se"].role is Role.OTHER


def test_an_mlp_of_position_biases_is_no_block_mlp() -> None:
    rows = {row.path: row for row in describe_layers(on_meta("maxvit_rmlp_pico_rw_256"))}
    assert rows["stages.0.blocks.0.attn_block.attn.rel_pos.mlp"].role is Role.OTHER
    assert rows["stages.0.blocks.0.attn_block.mlp"].role is Role.MLP


def test_a_pooling_by_attention_is_no_block() -> None:
    rows = {row.path: row for row in describe_layers(on_meta("vit_base_patch16_siglip_224"))}
    assert {rows[p].role for p in ("attn_pool", "attn_pool.q", "attn_pool.kv", "attn_pool.mlp")} == {Role.OTHER}
    assert rows["attn_pool.mlp.fc1"].kind == "linear"


@pytest.mark.parametrize("architecture", ["beit_base_patch16_224", "eva02_tiny_patch14_224", "swinv2_tiny_window8_256"])
def test_a_bypassed_qkv_has_a_switch(architecture: str) -> None:
    module = on_meta(architecture)
    attention = module.get_submodule(paths(describe_layers(module), Role.ATTENTION)[0])
    assert call_through_flag(attention, "qkv") == "qkv_bias_separate"


@pytest.mark.parametrize("architecture", ["vit_base_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_called_qkv_needs_no_switch(architecture: str) -> None:
    module = on_meta(architecture)
    assert call_through_flag(module.get_submodule(paths(describe_layers(module), Role.ATTENTION)[0]), "qkv") == ""


def test_torch_attention_never_calls_its_projection() -> None:
    rows = {row.path: row for row in describe_layers(nn.TransformerEncoderLayer(8, 2, batch_first=True))}
    assert "MultiheadAttention" in rows["self_attn.out_proj"].bypass_reason
    assert "TransformerEncoderLayer" in rows["linear1"].bypass_reason
    assert rows["self_attn"].bypass_reason
    assert rows[""].bypass_reason == ""


def test_a_convolution_that_standardises_its_weight_is_not_a_plain_one() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.standardised = StdConv2d(3, 8, 3)
            self.plain = nn.Conv2d(3, 8, 3)

    rows = {row.path: row for row in describe_layers(Network())}
    assert (rows["standardised"].kind, rows["plain"].kind) == ("", "conv2d")
    chosen = default_attachment(METHODS.get("lora"), tuple(rows.values()))
    assert chosen.at == ("plain",)


def test_depthwise_and_grouped_convolutions_are_told_apart() -> None:
    rows = {row.path: row for row in describe_layers(on_meta("regnety_032"))}
    assert rows["s1.b1.conv2.conv"].groups > 1
    assert rows["s1.b1.conv1.conv"].groups == 1


def test_layers_that_stand_at_two_places_count_once() -> None:
    shared = nn.Linear(4, 4)
    rows = describe_layers(nn.Sequential(shared, shared))
    assert [row.path for row in rows] == ["", "0", "1"]
    assert rows[0].parameters == 20
