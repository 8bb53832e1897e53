"""Methods that train tensors of the backbone as they are: full fine-tuning, linear probe, BitFit, LayerNorm tuning.

BitFit: Ben-Zaken et al. 2022, https://arxiv.org/abs/2106.10199.
LayerNorm tuning: Zhao et al. 2024, https://arxiv.org/abs/2312.11420.
The engine puts a trainable copy in a tensor's place, so the backbone's own tensors stay as they are. A BatchNorm keeps
its running statistics: only its weight and bias train.
"""

from collections.abc import Callable

from studio.backbones.layer_roles import classifier_paths
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.peft.contract import AttachmentSite, DefaultSites, Method, MethodConfig, register

BIAS_NAMES = frozenset({"bias", "q_bias", "v_bias", "in_proj_bias"})
"""What biases are called: BEiT, EVA and Swin V2 keep those of q and v in the attention, as torch's own does."""


class EmptyConfig(MethodConfig):
    """A method without fields of its own."""


def unfreeze(site: AttachmentSite[EmptyConfig], selected: Callable[[str], bool]) -> None:
    """Let the parameters in the site's layer train whose last name is ``wanted``; the head is not touched."""
    for row in site.layers:
        if row.role is not Role.HEAD and _is_within(row.path, site.layer.path):
            for name in filter(selected, _parameter_names(site, row.path)):
                site.train_parameter(name, row.path)


def _is_within(path: str, layer: str) -> bool:
    return not layer or path == layer or path.startswith(f"{layer}.")


def _parameter_names(site: AttachmentSite[EmptyConfig], path: str) -> list[str]:
    """Names of the own parameters of the backbone's layer at ``path``."""
    return [name for name, value in site.modules[path]._parameters.items() if value is not None]


def _no_slices_reason(label: str, slices: tuple[str, ...]) -> str:
    return f"{label} trains whole tensors, so it cannot take only some of q, k and v." if slices else ""


@register
class FullFineTuning(Method[EmptyConfig]):
    """Every weight of a layer, a block or the whole backbone."""

    name = "full"
    label = "Full fine-tuning"
    family = "whole weights"
    summary = "Trains every weight. Learns the most, weighs as much as the backbone, and forgets the most easily."
    when_to_use = "Many images, memory to spare and one task: what the others are measured against."
    paper = "https://arxiv.org/abs/1411.1792 (Yosinski et al. 2014)"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.BACKBONE,)),)
    learning_rate = 1e-4

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Anything with parameters in it."""
        return _no_slices_reason(self.label, slices) or (
            "" if layer.parameters else f"This {layer.type} has no weights to train."
        )

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Let everything inside train."""
        unfreeze(site, lambda name: True)


@register
class LinearProbe(Method[EmptyConfig]):
    """The classifier alone, on frozen features."""

    name = "linear_probe"
    label = "Linear probe"
    family = "whole weights"
    summary = "Trains the head alone on frozen features: the fastest start, and the measure for everything else."
    when_to_use = "The number to beat: what the frozen features are worth on their own."
    paper = "https://arxiv.org/abs/1610.01644 (Alain & Bengio 2016)"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.BACKBONE,)),)
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """The backbone as a whole."""
        return "" if layer.role is Role.BACKBONE else "A linear probe reads the whole backbone; drop it on the top row."

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Let the head train, if the recipe does not already; StudioError where there is none."""
        heads = classifier_paths(site.model)
        if not heads:
            raise StudioError("This backbone has no head to train; give it a number of classes.")
        for head in heads:
            for path, layer in site.modules[head].named_modules(prefix=head):
                for name in list(layer._parameters):
                    site.train_parameter(name, path)


@register
class BitFit(Method[EmptyConfig]):
    """The biases alone."""

    name = "bitfit"
    label = "BitFit"
    family = "whole weights"
    summary = "Trains the biases and nothing else. Tiny, and part of the weights once trained."
    when_to_use = "Few images and no extra cost at all."
    paper = "Ben-Zaken et al. 2022, https://arxiv.org/abs/2106.10199"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.BACKBONE,)),)
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Anything with a bias in it; a layer without one cannot be given one."""
        found = layer.parameter_names & BIAS_NAMES
        return _no_slices_reason(self.label, slices) or ("" if found else f"This {layer.type} has no bias to train.")

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Let the biases inside train."""
        unfreeze(site, BIAS_NAMES.__contains__)


@register
class NormTuning(Method[EmptyConfig]):
    """Weight and bias of normalisation layers."""

    name = "norm_tuning"
    label = "LayerNorm tuning"
    family = "whole weights"
    summary = "Trains the weight and bias of the normalisation layers. Tiny, and part of the weights once trained."
    when_to_use = "Images of another brightness or contrast, and convolutional networks."
    paper = "Zhao et al. 2024, https://arxiv.org/abs/2312.11420"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.NORM,)),)
    peft_type = "LN_TUNING"
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Normalisation layers that have a weight; statistics of a BatchNorm stay as they are."""
        if layer.kind != "norm":
            return f"{self.label} needs a normalisation layer; this is a {layer.type}."
        return "" if layer.own_parameters else f"This {layer.type} has no weight to train."

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Let the layer's weight and bias train."""
        for name in _parameter_names(site, site.layer.path):
            site.train_parameter(name)
