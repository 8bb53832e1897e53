"""AdapterDrop, AdapterFusion, and mixtures of methods in one recipe."""

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from studio.backbones.layer_roles import describe_layers
from studio.backbones.loading import weights_digest
from studio.core.errors import StudioError
from studio.peft import METHODS, AdaptedModel, Attachment, attach
from studio.peft.adapter_file import load_adapter, read_manifest, save_adapter
from studio.peft.methods.adapter_fusion import FusionLayer
from studio.peft.targets import default_attachment
from studio.testing import observing
from studio.testing.families import backbone_layers, build_backbone, random_images

DROP = Attachment(name="drop", method="adapter_drop", at=(".",))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def by_default(method: str, family: str = "vit", **config: Any) -> Attachment:
    return default_attachment(METHODS.get(method), backbone_layers(family), config=config)


def scrambled(attached: AdaptedModel, std: float = 0.5) -> AdaptedModel:
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.normal_(std=std)
    return attached.eval()


def configured(attachment: Attachment, **config: Any) -> Attachment:
    return attachment.model_copy(update={"config": dict(attachment.config) | config})


# AdapterDrop


@pytest.mark.parametrize("method", ["lora", "houlsby", "bitfit", "adaptformer", "ssf", "vpt_deep", "prefix"])
def test_what_rests_is_as_if_it_were_not_attached(method: str) -> None:
    per_block = by_default(method).model_copy(update={"at": ("blocks.**",)})
    attached = scrambled(attach(build_backbone("vit"), [per_block], head=False), 0.1)
    x = random_images("vit")
    plain, whole = build_backbone("vit")(x), attached.module(x)
    attached.skip_first_blocks("someone", 1)
    half = attached.module(x)
    attached.skip_first_blocks("someone", 2)
    assert torch.equal(attached.module(x), plain)
    attached.skip_first_blocks("someone", 0)
    assert torch.equal(attached.module(x), whole)
    assert not torch.equal(half, whole)
    assert not torch.equal(half, plain)


def test_the_first_block_alone_rests() -> None:
    attached = scrambled(attach(build_backbone("vit"), [by_default("pfeiffer")], head=False))
    plain, x = build_backbone("vit"), torch.randn(1, 5, 32)
    attached.skip_first_blocks("someone", 1)
    assert torch.equal(attached.module.blocks[0](x), plain.blocks[0](x))
    assert not torch.equal(attached.module.blocks[1](x), plain.blocks[1](x))


def test_the_deepest_of_several_wishes_counts() -> None:
    attached = scrambled(attach(build_backbone("vit"), [by_default("pfeiffer")], head=False))
    x = random_images("vit")
    whole = attached.module(x)
    attached.skip_first_blocks("a", 2)
    attached.skip_first_blocks("b", 1)
    assert torch.equal(attached.module(x), build_backbone("vit")(x))
    attached.skip_first_blocks("a", 0)
    attached.skip_first_blocks("b", 0)
    assert torch.equal(attached.module(x), whole)


def test_what_is_attached_to_the_whole_backbone_goes_on() -> None:
    attached = scrambled(attach(build_backbone("vit"), [by_default("vpt_shallow")], head=False))
    before = attached.module(random_images("vit"))
    attached.skip_first_blocks("someone", 2)
    assert torch.equal(attached.module(random_images("vit")), before)


def test_training_draws_a_depth_for_each_batch() -> None:
    attached = scrambled(
        attach(build_backbone("vit"), [by_default("pfeiffer"), configured(DROP, train_most=1)], head=False)
    )
    attached.train()
    seen = set()
    for _ in range(20):
        attached.module(random_images("vit"))
        seen.add(tuple(change.adapted_layer.enabled for change in attached.patches if "mlp" in change.path))
    assert seen == {(True, True), (False, True)}


def test_at_most_all_blocks_but_the_last_rest_in_training() -> None:
    attached = attach(
        build_backbone("vit"), [by_default("pfeiffer"), configured(DROP, train_most=500)], head=False
    ).train()
    first, last, *_ = attached.patches
    depths = set()
    for _ in range(20):
        attached.module(random_images("vit"))
        depths.add(first.adapted_layer.enabled)
        assert last.adapted_layer.enabled
    assert depths == {True, False}


def test_the_backward_pass_stops_at_the_first_block_that_takes_part() -> None:
    attached = scrambled(attach(build_backbone("vit"), [by_default("pfeiffer")], head=False)).train()
    attached.skip_first_blocks("someone", 1)
    tokens = attached.module.blocks[0](attached.module.patch_embed(random_images("vit")))
    assert not tokens.requires_grad
    attached.module(random_images("vit")).sum().backward()
    assert {n for n, p in attached.named_parameters() if p.grad is None} == {
        n for n, _ in attached.named_parameters() if "blocks.0" in n
    }
    assert attached.unused_parameters() == ()


def test_afterwards_any_depth_can_be_chosen() -> None:
    attachments = [by_default("pfeiffer"), configured(DROP, skip=2)]
    attached = scrambled(attach(build_backbone("vit"), attachments, head=False))
    x = random_images("vit")
    assert torch.equal(attached.module(x), build_backbone("vit")(x))
    attached.set_enabled("drop", False)
    whole = attached.module(x)
    assert not torch.equal(whole, build_backbone("vit")(x))
    attached.set_enabled("drop", True)
    assert torch.equal(attached.module(x), build_backbone("vit")(x))


def test_switching_another_attachment_wakes_nothing_that_rests() -> None:
    attached = scrambled(attach(build_backbone("vit"), [by_default("pfeiffer"), configured(DROP, skip=2)], head=False))
    attached.set_enabled("pfeiffer", False)
    attached.set_enabled("pfeiffer", True)
    assert torch.equal(attached.module(random_images("vit")), build_backbone("vit")(random_images("vit")))


def test_a_copy_draws_and_rests_on_its_own() -> None:
    attached = scrambled(attach(build_backbone("vit"), [by_default("pfeiffer"), configured(DROP, skip=2)], head=False))
    twin = copy.deepcopy(attached)
    twin.set_enabled("drop", False)
    assert not attached.patches[0].adapted_layer.enabled
    assert twin.patches[0].adapted_layer.enabled


def test_merging_leaves_out_what_rests() -> None:
    attachments = [by_default("lora"), by_default("bitfit"), configured(DROP, skip=1)]
    attached = scrambled(attach(build_backbone("vit"), attachments, head=False), 0.1).train()
    merged = attached.merge()
    attached.eval()
    x = random_images("vit")
    assert observing.largest_difference(merged(x), attached.module(x)) < 1e-5
    assert merged.state_dict().keys() == build_backbone("vit").state_dict().keys()
    assert torch.equal(merged.blocks[0].attn.qkv.weight, build_backbone("vit").blocks[0].attn.qkv.weight)


def test_a_depth_is_drawn_by_a_layer_that_is_called() -> None:
    module = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 8))
    attached = attach(module, [Attachment(name="drop", method="adapter_drop", at=(".",))])
    assert [change.path for change in attached.patches] == ["1"]


def test_a_fixed_range_is_a_pattern() -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_224")
    fixed = Attachment(name="a", method="pfeiffer", at=("blocks.{5..11}.mlp",), config={"bottleneck": 8})
    census = attach(module, [fixed], head=False).parameter_counts()
    assert census.trainable_parameters == 156_768 * 7 // 12


def test_a_layer_is_not_a_backbone() -> None:
    with pytest.raises(StudioError, match=r"use a pattern such as blocks\.\{5\.\.11\}"):
        attach(build_backbone("vit"), [DROP.model_copy(update={"at": ("blocks.0.mlp",)})])


# AdapterFusion


def trained(folder: Path, attachment: Attachment, family: str = "vit", seed: int = 0) -> AdaptedModel:
    """Make an adapter with random values, write it, and return it."""
    torch.manual_seed(seed)
    folder.mkdir()
    attached = scrambled(attach(build_backbone(family), [attachment]), 0.3)
    save_adapter(attached, [attachment], folder, weights_digest(build_backbone(family)), {})
    return attached


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """Folders of two adapters of different widths after the MLPs."""
    for number, bottleneck in enumerate((3, 5)):
        trained(tmp_path / str(number), by_default("pfeiffer", bottleneck=bottleneck), seed=number)
    return [str(tmp_path / "0"), str(tmp_path / "1")]


def fused(folders: list[str], family: str = "vit", **config: Any) -> Attachment:
    return by_default("fusion", family, adapters=folders, **config)


def branch(folder: str, block: int, h: Tensor) -> Tensor:
    attached = load_adapter(build_backbone("vit"), Path(folder))
    adapter: nn.Module = attached.module.blocks[block].mlp.adapter
    return adapter(h, h)


@pytest.mark.parametrize("mixing", ["full", "static", "gates"])
def test_fusion_is_an_attention_over_the_adapters(two: list[str], mixing: str) -> None:
    attachment = fused(two, mixing=mixing, temperature=2.0)
    attached = scrambled(attach(build_backbone("vit"), [attachment], head=False))
    plain, x = build_backbone("vit").blocks[1], torch.randn(2, 5, 32)
    middle = x + plain.attn(plain.norm1(x))
    h = plain.mlp(plain.norm2(middle))
    given = [branch(folder, 1, h) for folder in two]
    state = {name.split("/adapter.")[1]: t for name, t in attached.state_dict().items() if "blocks.1" in name}
    if mixing == "gates":
        scores = [state["gates"][i].expand(2, 5) for i in range(2)]
    else:
        query = h @ state["query.weight"].T + state["query.bias"]
        scores = [(query * (u @ state["key.weight"].T + state["key.bias"])).sum(-1) for u in given]
    weights = torch.stack([score / 2.0 for score in scores]).softmax(0)
    value = state["value.weight"] if mixing == "full" else torch.eye(32)
    expected = middle + h + sum(w.unsqueeze(-1) * (u @ value.T) for w, u in zip(weights, given, strict=True))
    torch.testing.assert_close(attached.module.blocks[1](x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("mixing", "count"), [("full", 21_252_096), ("static", 14_174_208), ("gates", 24)])
def test_fusion_counts_on_vit_base(tmp_path: Path, mixing: str, count: int) -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_224")
    rows = describe_layers(module)
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        attachment = default_attachment(METHODS.get("pfeiffer"), rows, config={"bottleneck": 8})
        attached = attach(module, [attachment], head=False, layers=rows)
        assert attached.parameter_counts().trainable_parameters == 156_768
        attached.detach()
        write_description(tmp_path / str(number), attachment)
    folders = [str(tmp_path / "0"), str(tmp_path / "1")]
    fusion = default_attachment(METHODS.get("fusion"), rows, config={"adapters": folders, "mixing": mixing})
    census = attach(module, [fusion], head=False, layers=rows).parameter_counts()
    assert census.trainable_parameters == count
    assert census.adapter_bytes == 4 * (count + 2 * 156_768)


def write_description(folder: Path, attachment: Attachment) -> None:
    save_adapter(attach(nn.Linear(1, 1), [], head=False), [attachment], folder, "unknown", {})


def test_the_fused_adapters_stay_as_they_are(two: list[str]) -> None:
    attached = attach(build_backbone("vit"), [fused(two)])
    before = {n: t.clone() for n, t in attached.state_dict().items()}
    observing.train_briefly(attached, "vit")
    still = {n for n, t in attached.state_dict().items() if torch.equal(t, before[n])}
    assert still == {n for n in before if "/adapter.fused." in n}
    assert still


def test_value_begins_as_the_identity_and_the_fused_adapters_take_part_at_once(two: list[str]) -> None:
    attached = attach(build_backbone("vit"), [fused(two)], head=False)
    mixture = attached.module.blocks[0].mlp.adapter
    assert isinstance(mixture, FusionLayer)
    torch.testing.assert_close(mixture.value.weight, torch.eye(32), rtol=0, atol=1e-5)
    assert not torch.equal(attached.module(random_images("vit")), build_backbone("vit")(random_images("vit")))


def test_an_exported_fusion_carries_its_adapters(two: list[str], tmp_path: Path) -> None:
    attached = observing.train_briefly(attach(build_backbone("vit"), [fused(two)]), "vit")
    expected = attached.module(random_images("vit"))
    attachments = attached.finalize([fused(two)])
    out = tmp_path / "fusion"
    out.mkdir()
    save_adapter(attached, attachments, out, weights_digest(build_backbone("vit")), {})
    for folder in two:
        for file in Path(folder).iterdir():
            file.unlink()
    assert str(tmp_path) not in read_manifest(out).model_dump_json()
    again = load_adapter(build_backbone("vit"), out)
    assert observing.same_bytes(again.module(random_images("vit")), expected)


def test_a_layout_without_values_is_not_a_number_rather_than_random(two: list[str]) -> None:
    attachment = fused(two)
    config = METHODS.get("fusion").configure(attachment.config)
    settled = METHODS.get("fusion").finalized_config(config).model_dump(mode="json")
    attached = attach(build_backbone("vit"), [attachment.model_copy(update={"config": settled})])
    assert attached.module(random_images("vit")).isnan().all()


@pytest.mark.parametrize("method", ["houlsby", "compacter", "parallel", "adaptformer", "adapter_plus"])
@pytest.mark.parametrize("family", ["dinov2-registers", "swin", "convnext"])
def test_every_kind_of_adapter_fuses_wherever_it_goes(method: str, family: str, tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("one", "two")]
    for number, folder in enumerate(folders):
        trained(Path(folder), by_default(method, family), family, number)
    attachment = fused(folders, family)
    attached = observing.train_briefly(attach(build_backbone(family), [attachment]), family)
    assert torch.isfinite(attached.module(random_images(family))).all()
    assert {p for p in attached.state_dict() if "fused" not in p} > set()


def test_a_single_shared_rule_comes_back_for_some_blocks(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("one", "two")]
    for folder in folders:
        trained(Path(folder), by_default("compacter"))
    late = fused(folders).model_copy(update={"at": ("blocks.1.mlp",)})
    attached = attach(build_backbone("vit"), [late])
    rule = load_adapter(build_backbone("vit"), Path(folders[1])).module.blocks[1].mlp.adapter.down.rule
    assert torch.equal(attached.module.blocks[1].mlp.adapter.fused[1].up.rule, rule)


def test_what_cannot_be_fused_says_why(two: list[str], tmp_path: Path) -> None:
    trained(tmp_path / "lora", by_default("lora"))
    trained(tmp_path / "norms", by_default("pfeiffer", train_norms=True))
    trained(tmp_path / "beside", by_default("parallel"))
    trained(tmp_path / "late", by_default("pfeiffer").model_copy(update={"at": ("blocks.1.mlp",)}))
    trained(tmp_path / "swin", by_default("pfeiffer", "swin"), "swin")
    at_mlp = Attachment(name="f", method="fusion", at=("blocks.0.mlp",))
    for other, reason in {
        "lora": "it has LoRA",
        "norms": "trained norms",
        "beside": "different insertion points",
        "late": "nothing at this layer",
        "swin": "nothing at this layer",
        "gone": "is not an adapter",
    }.items():
        with pytest.raises(StudioError, match=reason):
            attach(build_backbone("vit"), [configured(at_mlp, adapters=[two[0], str(tmp_path / other)])])
    for adapters in ([], two[:1]):
        with pytest.raises(StudioError, match="at least two"):
            attach(build_backbone("vit"), [configured(at_mlp, adapters=adapters)])


def test_adapters_of_another_backbone_are_refused(two: list[str]) -> None:
    other = build_backbone("vit")
    with torch.no_grad():
        other.patch_embed.proj.weight[0] += 1
    with pytest.raises(StudioError, match="belongs to another backbone"):
        attach(other, [by_default("lora"), fused(two)])
    attach(build_backbone("vit"), [by_default("lora"), fused(two)])


# Mixtures


def test_methods_of_every_family_work_together(two: list[str]) -> None:
    wanted = ["dora", "ssf", "houlsby", "lora", "adaptformer", "compacter_pp", "bitfit", "vpt_deep", "prefix"]
    attachments = [*map(by_default, [*wanted, "adapter_plus"]), fused(two), configured(DROP, skip=1)]
    module = build_backbone("vit")
    tree, plain = observing.ModuleSnapshot(module), module(random_images("vit"))
    attached = attach(module, attachments).train()
    waiting = dict(attached.named_parameters())
    optimizer = observing.make_optimizer(attached)
    for seed in range(20):
        optimizer.zero_grad()
        observing.backward_pass(attached, random_images("vit", seed=seed))
        waiting = {n: p for n, p in waiting.items() if p.grad is None or not p.grad.any()}
        optimizer.step()
    assert list(waiting) == []
    attached.eval()
    trained_logits = attached.module(random_images("vit"))
    attached.enabled = False
    assert torch.equal(module(random_images("vit")), plain)
    attached.enabled = True
    assert torch.equal(module(random_images("vit")), trained_logits)
    attached.detach()
    assert tree.differences() == []
