"""Magnitudes of the augmentation presets. Importing this imports no torch."""

from studio.core.recipe import Transforms

MAGNITUDE_NAMES = tuple(name for name in Transforms.model_fields if name != "augmentation")
"""Names of the changes in recipes and in :class:`studio.data.transforms.augmentation.Augmentation`."""

PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "light": {
        "rotation": 8,
        "translation": 0.06,
        "scale": 0.08,
        "brightness": 0.12,
        "contrast": 0.12,
        "saturation": 0.12,
    },
    "strong": {
        "rotation": 15,
        "translation": 0.12,
        "scale": 0.2,
        "shear": 8,
        "brightness": 0.3,
        "contrast": 0.3,
        "saturation": 0.3,
        "erasing": 0.25,
    },
}


def preset_magnitudes(transforms: Transforms) -> dict[str, float]:
    """Return the magnitudes of a preset, or the recipe's own for "custom"."""
    if transforms.augmentation == "custom":
        return {name: getattr(transforms, name) for name in MAGNITUDE_NAMES}
    return dict.fromkeys(MAGNITUDE_NAMES, 0.0) | PRESETS[transforms.augmentation]
