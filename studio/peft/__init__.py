"""The PEFT engine, for any ``nn.Module``, without recipe file, window or data."""

from studio.core.recipe import Attachment
from studio.peft.attach import AdaptedModel, attach
from studio.peft.contract import METHODS, AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.method_info import MethodInfo
from studio.peft.param_counts import AttachmentCounts, ParameterCounts
from studio.peft.target_matching import SkippedLayer

__all__ = [
    "METHODS",
    "AdaptedLayer",
    "AdaptedModel",
    "Attachment",
    "AttachmentCounts",
    "AttachmentSite",
    "DefaultSites",
    "Method",
    "MethodConfig",
    "MethodInfo",
    "ParameterCounts",
    "SkippedLayer",
    "attach",
    "register",
]
