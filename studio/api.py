"""The names that a plugin may use; everything else may change between versions."""

from pydantic import Field

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import N_, N_n
from studio.core.recipe import Attachment
from studio.data.images.file_index import FileIndex
from studio.data.sources.contract import Source
from studio.data.sources.contract import register as register_source
from studio.export.contract import Exporter, ExportSource
from studio.export.contract import register as register_exporter
from studio.peft.attach import AdaptedModel, attach
from studio.peft.contract import METHODS, AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, slice_rows
from studio.peft.contract import register as register_method
from studio.peft.hf.form import PeftForm
from studio.peft.method_info import MethodInfo
from studio.peft.param_counts import ParameterCounts

__all__ = [
    "METHODS",
    "N_",
    "AdaptedLayer",
    "AdaptedModel",
    "Attachment",
    "AttachmentSite",
    "DefaultSites",
    "ExportSource",
    "Exporter",
    "Field",
    "FileIndex",
    "Layer",
    "Method",
    "MethodConfig",
    "MethodInfo",
    "N_n",
    "ParameterCounts",
    "PeftForm",
    "Role",
    "Source",
    "StudioError",
    "attach",
    "register_exporter",
    "register_method",
    "register_source",
    "slice_rows",
]
