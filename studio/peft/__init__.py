"""The PEFT engine: works on any ``nn.Module``, without recipe file, window or data."""

from studio.core.recipe import Attachment
from studio.peft.attach import Attached, attach
from studio.peft.contract import METHODS, AdaptedLayer, DefaultSites, Method, MethodConfig, Site, register
from studio.peft.param_counts import AttachmentCensus, Census
from studio.peft.target_matching import Skipped

__all__ = [
    "METHODS",
    "AdaptedLayer",
    "Attached",
    "Attachment",
    "AttachmentCensus",
    "Census",
    "DefaultSites",
    "Method",
    "MethodConfig",
    "Site",
    "Skipped",
    "attach",
    "register",
]
