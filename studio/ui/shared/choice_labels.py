"""Labels of the choices in recipes and method settings, as forms show them."""

from studio.core.messages import N_
from studio.ui.i18n.language import localized

CHOICE_LABELS = {
    "auto": N_("auto"),
    "on": N_("on"),
    "off": N_("off"),
    "none": N_("none"),
    "bundled": N_("bundled"),
    "timm": "timm",
    "local": N_("local"),
    "list": N_("list"),
    "folder": N_("folder"),
    "light": N_("light"),
    "strong": N_("strong"),
    "custom": N_("custom"),
    "adamw": "AdamW",
    "sgd": "SGD",
    "cosine": N_("cosine"),
    "one-cycle": N_("one-cycle"),
    "constant": N_("constant"),
    "balanced": N_("balanced"),
    "accuracy": N_("accuracy"),
    "loss": N_("loss"),
    "output": N_("output"),
    "input": N_("input"),
    "stream": N_("residual stream"),
    "before": N_("before"),
    "after": N_("after"),
    "own": N_("own"),
    "shared": N_("shared"),
    "zero": N_("zero"),
    "small": N_("small"),
    "normal": N_("normal"),
    "identity": N_("identity"),
    "gaussian": N_("Gaussian"),
    "kaiming": "Kaiming",
    "full": N_("full"),
    "static": N_("static"),
    "gates": N_("gates"),
    "relu": "ReLU",
    "gelu": "GELU",
    "gelu_tanh": "GELU (tanh)",
    "quick_gelu": "QuickGELU",
    "silu": "SiLU",
}


def choice_label(value: object) -> str:
    """Return the label of a choice; a plugin's own value is shown as it is."""
    return localized(CHOICE_LABELS.get(str(value), str(value)))
