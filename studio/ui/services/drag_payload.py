"""What can be dragged, copied and put down on the tree: a method, a preset, or an attachment taken up somewhere."""

import json
from dataclasses import dataclass

from pydantic import ValidationError
from PySide6.QtCore import QMimeData

from studio.app.presets import Preset, preset
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.ui.services.tree_data import Spot

METHOD_MIME = "application/x-peft-studio-method"
PRESET_MIME = "application/x-peft-studio-preset"
ATTACHMENT_MIME = "application/x-peft-studio-attachment"
MIMES = (METHOD_MIME, PRESET_MIME, ATTACHMENT_MIME)


@dataclass(frozen=True)
class Lifted:
    """An attachment taken up at one place, to be put down with its settings at another."""

    attachment: Attachment
    spot: Spot


Carried = str | Preset | Lifted
"""A method by its name, a preset, or an attachment taken up; the empty name stands for nothing."""


def mime_of(carried: Carried) -> QMimeData:
    """What a drag or the clipboard carries. No plain text: a field that takes text is no place to drop it on."""
    data = QMimeData()
    if isinstance(carried, Preset):
        data.setData(PRESET_MIME, carried.name.encode())
    elif isinstance(carried, Lifted):
        spot = carried.spot
        raw = {"attachment": carried.attachment.model_dump(mode="json"), "path": spot.path, "part": spot.part}
        data.setData(ATTACHMENT_MIME, json.dumps(raw).encode())
    else:
        data.setData(METHOD_MIME, carried.encode())
    return data


def carried_in(data: QMimeData) -> Carried:
    """What ``data`` carries; the empty name for anything else, or for what is damaged."""
    if data.hasFormat(METHOD_MIME):
        return _bytes(data, METHOD_MIME).decode("utf-8", "replace")
    try:
        if data.hasFormat(PRESET_MIME):
            return preset(_bytes(data, PRESET_MIME).decode("utf-8", "replace"))
        if data.hasFormat(ATTACHMENT_MIME):
            return _lifted(json.loads(_bytes(data, ATTACHMENT_MIME)))
    except (StudioError, ValueError, ValidationError, KeyError, TypeError):
        return ""
    return ""


def _lifted(raw: dict[str, object]) -> Lifted:
    spot = Spot(str(raw["path"]), str(raw["part"]))
    return Lifted(Attachment.model_validate(raw["attachment"]), spot)


def _bytes(data: QMimeData, kind: str) -> bytes:
    return bytes(data.data(kind).data())
