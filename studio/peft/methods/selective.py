"""Selective methods, which train weights of the backbone: full fine-tuning, linear probe, BitFit, LayerNorm tuning.

BitFit: Ben-Zaken et al. 2022, https://arxiv.org/abs/2106.10199.
LayerNorm tuning: Zhao et al. 2024, https://arxiv.org/abs/2312.11420.
The engine replaces a tensor by a trainable copy, so the backbone's own tensors never change. A BatchNorm keeps its
running statistics: only its weight and bias train.
"""

from collections.abc import Callable

from studio.backbones.layer_roles import BIAS_NAMES, classifier_paths
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role, is_within
from studio.core.messages import N_
from studio.peft.contract import AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.hf.ln_tuning import LNTuningForm
from studio.peft.method_info import MethodInfo


class EmptyConfig(MethodConfig):
    """A method without fields of its own."""


def unfreeze(site: AttachmentSite[EmptyConfig], selected: Callable[[str], bool]) -> None:
    """Train the parameters in the site's layer whose last name is ``selected``; the head is left out."""
    for row in site.layers:
        if row.role is not Role.HEAD and is_within(row.path, site.layer.path):
            for name in filter(selected, _parameter_names(site, row.path)):
                site.train_parameter(name, row.path)


def _parameter_names(site: AttachmentSite[EmptyConfig], path: str) -> list[str]:
    """Return the names of the layer's own parameters."""
    return [name for name, value in site.modules[path]._parameters.items() if value is not None]


def _no_slices_reason(label: str, slices: tuple[str, ...]) -> str:
    return N_("{method} trains whole tensors, so it cannot take q, k or v slices.", method=label) if slices else ""


@register
class FullFineTuning(Method[EmptyConfig]):
    """Every weight of a layer, a block or the whole backbone."""

    name = "full"
    label = N_("Full fine-tuning")
    family = N_("selective")
    summary = N_("Trains every weight. Most flexible, with files as large as the backbone and most forgetting.")
    info = MethodInfo(when_to_use=N_("Many images, enough memory and one task: the reference for the other methods."))
    paper = "https://arxiv.org/abs/1411.1792 (Yosinski et al. 2014)"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.BACKBONE,)),)
    learning_rate = 1e-4

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Support any layer with parameters in it."""
        return _no_slices_reason(self.label, slices) or (
            "" if layer.parameters else N_("This {type} has no weights to train.", type=layer.type)
        )

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Train everything inside."""
        unfreeze(site, lambda name: True)


@register
class LinearProbe(Method[EmptyConfig]):
    """The classifier alone, on frozen features."""

    name = "linear_probe"
    label = N_("Linear probe")
    family = N_("selective")
    summary = N_("Trains the head alone on frozen features: the fastest method, and a baseline for the others.")
    info = MethodInfo(when_to_use=N_("A baseline: the accuracy of the frozen features."))
    paper = "https://arxiv.org/abs/1610.01644 (Alain & Bengio 2016)"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.BACKBONE,)),)
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Support the backbone as a whole."""
        if layer.role is Role.BACKBONE:
            return ""
        return N_("A linear probe needs the backbone as a whole; attach it to the top row.")

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Train the head, unless the recipe already does; StudioError if there is none."""
        heads = classifier_paths(site.model)
        if not heads:
            raise StudioError(
                "no-classifier", "Cannot attach a linear probe: this backbone has no head. Set a number of classes."
            )
        for head in heads:
            for path, layer in site.modules[head].named_modules(prefix=head):
                for name in list(layer._parameters):
                    site.train_parameter(name, path)


@register
class BitFit(Method[EmptyConfig]):
    """The biases alone."""

    name = "bitfit"
    label = N_("BitFit")
    family = N_("selective")
    summary = N_("Trains the biases only. Very few parameters, which are part of the backbone's own.")
    info = MethodInfo(when_to_use=N_("Few images, if inference must not cost more."))
    paper = "Ben-Zaken et al. 2022, https://arxiv.org/abs/2106.10199"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.BACKBONE,)),)
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Support any layer with a bias in it; none is added."""
        found = layer.parameter_names & BIAS_NAMES
        return _no_slices_reason(self.label, slices) or (
            "" if found else N_("This {type} has no bias to train.", type=layer.type)
        )

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Train the biases inside."""
        unfreeze(site, BIAS_NAMES.__contains__)


@register
class NormTuning(Method[EmptyConfig]):
    """Weight and bias of normalization layers."""

    name = "norm_tuning"
    label = N_("LayerNorm tuning")
    family = N_("selective")
    summary = N_("Trains weight and bias of the normalization layers. Very few parameters, part of the backbone's own.")
    info = MethodInfo(when_to_use=N_("Images with another brightness or contrast, and convolutional networks."))
    paper = "Zhao et al. 2024, https://arxiv.org/abs/2312.11420"
    Config = EmptyConfig
    default_sites = (DefaultSites((Role.NORM,)),)
    peft_form = LNTuningForm()
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: EmptyConfig, slices: tuple[str, ...]) -> str:
        """Support normalization layers with a weight; BatchNorm statistics stay frozen."""
        if layer.kind != "norm":
            return N_("{method} needs a normalization layer; this is a {type}.", method=self.label, type=layer.type)
        return "" if layer.own_parameters else N_("This {type} has no weights to train.", type=layer.type)

    def attach(self, site: AttachmentSite[EmptyConfig]) -> None:
        """Train the layer's weight and bias."""
        for name in _parameter_names(site, site.layer.path):
            site.train_parameter(name)
