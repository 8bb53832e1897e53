"""Layers of a backbone and parameter counts of attachments, without weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from studio.backbones.layer_roles import describe_layers
from studio.backbones.loading import build_on_meta
from studio.core import paths
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Backbone
from studio.peft.adapter_file import adapter_file_size
from studio.peft.attach import attach
from studio.peft.param_counts import AttachmentCounts, ParameterCounts
from studio.peft.target_matching import match_targets


class Inspector:
    """The layers of one backbone, and the counts of attachments on it.

    Building it is slow, because it builds the network without weights; counting is fast. Not thread-safe.
    """

    def __init__(self, backbone: Backbone, classes: int | None = None) -> None:
        self.backbone = backbone
        self._meta_model = build_on_meta(backbone, classes)
        self.layers: tuple[Layer, ...] = describe_layers(self._meta_model)

    def parameter_counts(self, attachments: Sequence[Attachment], head: bool = True) -> ParameterCounts:
        """Count ``attachments`` by attaching them to the network without weights.

        An attachment that cannot be used has no layers and no parameters. The adapter's bytes are those of its file
        after training.
        """
        usable = [a for a in attachments if a.enabled and not match_targets(a, self.layers).problem]
        attached = attach(self._meta_model, usable, head=head, layers=self.layers)
        try:
            counted = attached.parameter_counts()
            attached.finalize(usable)
            counted = replace(counted, adapter_bytes=adapter_file_size(attached))
        finally:
            attached.detach()
        return self._with_unusable(counted, attachments)

    def _with_unusable(self, counted: ParameterCounts, attachments: Sequence[Attachment]) -> ParameterCounts:
        known = {a.name: a for a in counted.attachments}
        rows = tuple(known.get(a.name) or self._empty_counts(a) for a in attachments if a.enabled)
        return replace(counted, attachments=rows)

    def _empty_counts(self, attachment: Attachment) -> AttachmentCounts:
        skipped = match_targets(attachment, self.layers).skipped
        return AttachmentCounts(attachment.name, attachment.method, (), skipped, 0)


def backbone_from_text(text: str) -> Backbone:
    """Return the backbone of a bundled name, a timm name or a timm model folder."""
    if (paths.resource(text) / "config.json").is_file():
        return Backbone(name=text, source="bundled")
    folder = Path(text).absolute()
    if (folder / "config.json").is_file():
        return Backbone(name=folder.name, source="local", weights=str(folder))
    return Backbone(name=text, source="timm")
