"""Attachments from lines such as ``lora@blocks.*.attn.qkv:q,v,rank=4``."""

from collections.abc import Collection, Sequence

from studio.core.attachment_spec import parse_spec
from studio.core.layers import Layer
from studio.core.recipe import Attachment


def parse_attachment(text: str, layers: Sequence[Layer], taken_names: Collection[str] = ()) -> Attachment:
    """Return the attachment that ``text`` describes on a backbone of ``layers``.

    Its name is none of ``taken_names``.
    """
    from studio.peft import targets
    from studio.peft.contract import METHODS

    line = parse_spec(text)
    method = METHODS.get(line.method)
    config = dict(method.configure(line.config).model_dump())
    if not line.targets:
        default = targets.default_attachment(method, layers, taken_names=taken_names, config=config)
        return default.model_copy(update={"slices": line.slices or default.slices})
    return Attachment(
        name=targets.unique_name(line.method, taken_names),
        method=line.method,
        at=line.targets,
        slices=line.slices,
        config=config,
    )
