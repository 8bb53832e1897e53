"""Payloads of drags and of the clipboard: a method, a preset, or an attachment lifted from a layer."""

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
    """An attachment lifted from one place, to be copied or moved to another with its settings."""

    attachment: Attachment
    ref: NodeRef


DragPayload = str | Preset | LiftedAttachment
"""A method by its name, a preset, or a lifted attachment; the empty name stands for nothing."""


def to_mime(payload: DragPayload) -> QMimeData:
    """Return the MIME data of ``payload``; no plain text, so that text fields do not accept the drop."""
    data = QMimeData()
    if isinstance(payload, Preset):
        data.setData(PRESET_MIME, payload.name.encode())
    elif isinstance(payload, LiftedAttachment):
        ref = payload.ref
        raw = {"attachment": payload.attachment.model_dump(mode="json"), "path": ref.path, "part": ref.part}
        data.setData(ATTACHMENT_MIME, json.dumps(raw).encode())
    else:
        data.setData(METHOD_MIME, payload.encode())
    return data


def from_mime(data: QMimeData) -> DragPayload:
    """Return the payload in ``data``; the empty name for other or damaged data."""
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
    ref = NodeRef(str(raw["path"]), str(raw["part"]))
    return LiftedAttachment(Attachment.model_validate(raw["attachment"]), ref)


def _bytes(data: QMimeData, kind: str) -> bytes:
    return bytes(data.data(kind).data())
