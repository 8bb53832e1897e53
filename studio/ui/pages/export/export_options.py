"""Export formats that a run supports, and the license of its weights."""

from dataclasses import dataclass

from studio.core.errors import StudioError
from studio.core.run import Run
from studio.ui.i18n.language import tr


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Export formats of a run and the license of its backbone's weights."""

    options: tuple["ExportOption", ...]
    weights_license: str
    non_commercial: bool


@dataclass(frozen=True, slots=True)
class ExportOption:
    """One export format; ``unsupported_reason`` is empty if the run supports it."""

    name: str
    label: str
    summary: str
    unsupported_reason: str


def load_export_options(run: Run) -> ExportOptions:
    """Return the export formats and the license of the weights for a run."""
    from studio.backbones.licenses import is_non_commercial, license_name
    from studio.backbones.loading import resolve_backbone

    name = license_name(resolve_backbone(run.recipe.backbone).license)
    return ExportOptions(options_for_run(run), name, is_non_commercial(name))


def options_for_run(run: Run) -> tuple[ExportOption, ...]:
    """Return every export format, with the reason if the run does not support it."""
    from studio.export.contract import EXPORTERS
    from studio.peft.contract import METHODS

    used = dict.fromkeys(a.method for a in run.recipe.attachments if a.enabled)
    options = []
    for exporter in EXPORTERS:
        try:
            reason = next((text for name in used if (text := exporter.unsupported_reason(METHODS.get(name)))), "")
        except StudioError as error:
            reason = error.message
        options.append(ExportOption(exporter.name, exporter.label, exporter.summary, reason))
    return tuple(options)


def license_text(options: ExportOptions) -> tuple[str, str]:
    """Return the note on the license of the weights and its tone."""
    name = options.weights_license
    if options.non_commercial:
        return tr(
            "The license of the backbone's weights ({license}) forbids commercial use, also of every export.",
            license=name,
        ), "warn"
    if name == "not stated":
        return tr(
            "No license is stated for these weights. Ask the authors before redistributing derived models."
        ), "warn"
    return tr("License of the backbone's weights: {license}. It is written into every export.", license=name), "info"
