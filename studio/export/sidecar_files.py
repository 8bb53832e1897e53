"""Files beside the weights in every export, such as labels and model card."""

import shutil
from pathlib import Path

from studio.backbones.licenses import NOT_STATED, is_non_commercial, license_name
from studio.backbones.loading import resolve_backbone
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.files import write_json, write_text
from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, Verification


def write_sidecar_files(exporter: Exporter, source: ExportSource, folder: Path) -> None:
    """Write labels, preprocessing with its script, ``predict.py`` and the recipe."""
    write_json(folder / "labels.json", list(source.labels))
    write_json(folder / "preprocessing.json", source.preprocessing.as_json())
    source.recipe.save(folder / "recipe.toml")
    shutil.copyfile(SCRIPTS_DIR / "preprocess.py", folder / "preprocess.py")
    shutil.copyfile(exporter.predict_script, folder / "predict.py")


def weights_license(source: ExportSource) -> str:
    """Return the license of the backbone's weights, as their authors state it."""
    return license_name(resolve_backbone(source.recipe.backbone).license)


def write_model_card(exporter: Exporter, source: ExportSource, folder: Path, verification: Verification) -> None:
    """Write ``README.md``: usage, data, recipe, metrics, verification and license."""
    parts = [
        _front_matter(source),
        f"# {source.recipe.backbone.name} for {len(source.labels)} classes ({exporter.label})",
        str(exporter.summary),
        _usage_section(exporter),
        _data_section(source),
        _recipe_section(source),
        _metrics_section(source),
        _verification_section(verification),
        _license_section(weights_license(source)),
    ]
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _usage_section(exporter: Exporter) -> str:
    code = exporter.python_usage.replace("{folder}", "FOLDER")
    return (
        "## Usage\n\n```\npython predict.py IMAGE...\n```\n\nThe first line of `predict.py` lists its packages. "
        f"In Python, with the path of this folder for `FOLDER`:\n\n```python\n{code}\n```"
    )


def _license_section(name: str) -> str:
    limit = " It forbids commercial use, also of models derived from them." if is_non_commercial(name) else ""
    return f"## License\n\nThe backbone's weights: {name}.{limit} The trained parameters are yours."


def _front_matter(source: ExportSource) -> str:
    name = weights_license(source)
    known = "unknown" if name == NOT_STATED else name
    return f"---\nlicense: {known}\npipeline_tag: image-classification\ntags: [timm, peft]\n---"


def _data_section(source: ExportSource) -> str:
    started = next((e for e in source.run.events() if isinstance(e, events.Started)), None)
    counts = f" {started.training_images} for training, {started.validation_images} for validation." if started else ""
    name = Path(source.recipe.data.path).name or source.recipe.data.path
    return f"## Data\n\nImages from `{name}`.{counts} Classes: {', '.join(source.labels)}."


def _recipe_section(source: ExportSource) -> str:
    recipe, counts = source.recipe, source.model.parameter_counts()
    attachments = "".join(f"- `{format_spec(a)}`\n" for a in recipe.attachments if a.enabled) or "- only the head\n"
    training = recipe.training
    return (
        f"## Recipe\n\n{attachments}\n"
        f"{counts.trainable_parameters:,} of {counts.total_parameters:,} parameters were trained "
        f"({counts.trainable_percent:.2f} %) for {training.epochs} epochs with {training.optimizer}, learning rate "
        f"{training.learning_rate:g}, batch size {training.batch_size}, seed {training.seed}. "
        "`recipe.toml` contains the complete recipe."
    )


def _metrics_section(source: ExportSource) -> str:
    best = [e for e in source.run.events() if isinstance(e, events.Evaluation) and e.best]
    if not best:
        return "## Metrics\n\nNot recorded."
    return f"## Metrics\n\n{best[-1].split.capitalize()} accuracy {best[-1].accuracy:.2%}, loss {best[-1].loss:.4f}."


def _verification_section(verification: Verification) -> str:
    return (
        f"## Verification\n\nWeights in {verification.precision}. Loaded from disk by {verification.loaded_with} and "
        f"compared with the run on {verification.images} validation images: "
        f"largest logit difference {verification.largest_difference:.2g} ({verification.tolerance:.2g} allowed), "
        f"same top class on {verification.agreement:.1%}."
    )
