"""Enabling and disabling single attachments."""

import timm
import torch

from studio.peft import Attachment, attach


def test_one_attachment_of_two_on_a_qkv_that_is_read_past_can_be_switched_off() -> None:
    """Both need the attention's own switch; whichever goes first, the other one must still be called."""
    model = timm.create_model("beit_base_patch16_224", img_size=32, embed_dim=24, depth=1, num_heads=2).eval()
    two = [Attachment(name=name, method="lora", at=("blocks.0.attn.qkv",)) for name in ("first", "second")]
    attached = attach(model, two)
    for name, parameter in attached.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter)
    images = torch.randn(1, 3, 32, 32)
    both = model(images)
    attached.set_enabled("first", False)
    assert not torch.equal(model(images), both)
    attached.set_enabled("second", False)
    without = model(images)
    attached.set_enabled("first", True)
    assert not torch.equal(model(images), without)
    attached.set_enabled("second", True)
    assert torch.equal(model(images), both)
    attached.detach()
    assert model.blocks[0].attn.qkv_bias_separate is False
