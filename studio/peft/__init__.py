"""The PEFT engine: works on any ``nn.Module``, without recipe file, window or data."""

from studio.core.recipe import Attachment
from studio.peft.attach import AdaptedModel, attach
from studio.peft.contract import METHODS, AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register
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
    "ParameterCounts",
    "SkippedLayer",
    "attach",
    "register",
]
