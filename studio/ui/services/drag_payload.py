"""What can be dragged, copied and put down on the tree: a method, a preset, or an attachment taken up somewhere."""

import json
from dataclasses import dataclass

from pydantic import ValidationError
from PySide6.QtCore import QMimeData

from studio.app.presets import Preset, get_preset
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.ui.services.tree_data import NodeRef

METHOD_MIME = "application/x-peft-studio-method"
PRESET_MIME = "application/x-peft-studio-preset"
ATTACHMENT_MIME = "application/x-peft-studio-attachment"
MIMES = (METHOD_MIME, PRESET_MIME, ATTACHMENT_MIME)


@dataclass(frozen=True)
class LiftedAttachment:
    """An attachment taken up at one place, to be put down with its settings at another."""

    attachment: Attachment
    ref: NodeRef


DragPayload = str | Preset | LiftedAttachment
"""A method by its name, a preset, or an attachment taken up; the empty name stands for nothing."""


def to_mime(payload: DragPayload) -> QMimeData:
    """What a drag or the clipboard carries. No plain text: a field that takes text is no place to drop it on."""
    data = QMimeData()
    if isinstance(payload, Preset):
        data.setData(PRESET_MIME, payload.name.encode())
    elif isinstance(payload, LiftedAttachment):
        spot = payload.ref
        raw = {"attachment": payload.attachment.model_dump(mode="json"), "path": spot.path, "part": spot.part}
        data.setData(ATTACHMENT_MIME, json.dumps(raw).encode())
    else:
        data.setData(METHOD_MIME, payload.encode())
    return data


def from_mime(data: QMimeData) -> DragPayload:
    """What ``data`` carries; the empty name for anything else, or for what is damaged."""
    if data.hasFormat(METHOD_MIME):
        return _bytes(data, METHOD_MIME).decode("utf-8", "replace")
    try:
        if data.hasFormat(PRESET_MIME):
            return get_preset(_bytes(data, PRESET_MIME).decode("utf-8", "replace"))
        if data.hasFormat(ATTACHMENT_MIME):
            return _parse_attachment(json.loads(_bytes(data, ATTACHMENT_MIME)))
    except (StudioError, ValueError, ValidationError, KeyError, TypeError):
        return ""
    return ""


def _parse_attachment(raw: dict[str, object]) -> LiftedAttachment:
    spot = NodeRef(str(raw["path"]), str(raw["part"]))
    return LiftedAttachment(Attachment.model_validate(raw["attachment"]), spot)


def _bytes(data: QMimeData, kind: str) -> bytes:
    return bytes(data.data(kind).data())
