"""Looking at a backbone and counting attachments on it, without its weights."""

from collections.abc import Sequence
from dataclasses import replace

from studio.backbones.layer_roles import describe_layers
from studio.backbones.loading import build_on_meta
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Backbone
from studio.peft.adapter_file import adapter_file_size
from studio.peft.attach import attach
from studio.peft.param_counts import AttachmentCounts, ParameterCounts
from studio.peft.target_matching import match_targets


class Inspector:
    """Answers questions about one backbone.

    Slow to make (it builds the network's shape), quick to ask. Not thread-safe.
    """

    def __init__(self, backbone: Backbone, classes: int | None = None) -> None:
        self.backbone = backbone
        self._meta_model = build_on_meta(backbone, classes)
        self.layers: tuple[Layer, ...] = describe_layers(self._meta_model)

    def parameter_counts(self, attachments: Sequence[Attachment], head: bool = True) -> ParameterCounts:
        """Count ``attachments`` by attaching them to the shape.

        One that cannot be used counts nothing and matches nothing. The adapter's bytes are those of its file once it is
        trained and settled.
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
