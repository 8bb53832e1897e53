"""What lies beside the weights in every export: labels, preprocessing, a script that uses them, and the model card."""

import shutil
from pathlib import Path

from studio.backbones.licenses import NOT_STATED, is_non_commercial, license_name
from studio.backbones.loading import resolve_backbone
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.files import write_json, write_text
from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, Verification


def write_sidecar_files(exporter: Exporter, source: ExportSource, folder: Path) -> None:
    """Write ``labels.json``, ``preprocessing.json``, ``preprocess.py``, ``predict.py`` and ``recipe.toml``."""
    write_json(folder / "labels.json", list(source.labels))
    write_json(folder / "preprocessing.json", source.preprocessing.as_json())
    source.recipe.save(folder / "recipe.toml")
    shutil.copyfile(SCRIPTS_DIR / "preprocess.py", folder / "preprocess.py")
    shutil.copyfile(exporter.predict_script, folder / "predict.py")


def weights_license(source: ExportSource) -> str:
    """The licence of the backbone's weights, as its makers state it."""
    return license_name(resolve_backbone(source.recipe.backbone).license)


def write_model_card(exporter: Exporter, source: ExportSource, folder: Path, verification: Verification) -> None:
    """Write ``README.md``: what it is, how to use it, what it was made from, how good it is, under which licence."""
    parts = [
        _front_matter(source),
        f"# {source.recipe.backbone.name} for {len(source.labels)} classes ({exporter.label})",
        exporter.summary,
        "## Use\n\n```\npython predict.py IMAGE...\n```\n\nThe first line of `predict.py` says what it needs.",
        _data_section(source),
        _recipe_section(source),
        _metrics_section(source),
        _verification_section(verification),
        _license_section(weights_license(source)),
    ]
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _license_section(name: str) -> str:
    limit = " It forbids commercial use, also of what contains them or needs them." if is_non_commercial(name) else ""
    return f"## Licence\n\nThe backbone's weights: {name}.{limit} What was trained on top of them is yours."


def _front_matter(source: ExportSource) -> str:
    name = weights_license(source)
    known = "unknown" if name == NOT_STATED else name
    return f"---\nlicense: {known}\npipeline_tag: image-classification\ntags: [timm, peft]\n---"


def _data_section(subject: ExportSource) -> str:
    happened = next((e for e in subject.run.events() if isinstance(e, events.Started)), None)
    counts = f" {happened.training_images} to train, {happened.validation_images} to validate." if happened else ""
    source = Path(subject.recipe.data.path).name or subject.recipe.data.path
    return f"## Data\n\nImages from `{source}`.{counts} Classes: {', '.join(subject.labels)}."


def _recipe_section(source: ExportSource) -> str:
    recipe, census = source.recipe, source.model.parameter_counts()
    attachments = "".join(f"- `{format_spec(a)}`\n" for a in recipe.attachments if a.enabled) or "- the head alone\n"
    training = recipe.training
    return (
        f"## Recipe\n\n{attachments}\n"
        f"{census.trainable_parameters:,} of {census.total_parameters:,} parameters were trained "
        f"({census.trainable_percent:.2f} %), for {training.epochs} epochs with {training.optimizer}, learning rate "
        f"{training.learning_rate:g}, batches of {training.batch_size}, seed {training.seed}. "
        "The whole recipe is in `recipe.toml`."
    )


def _metrics_section(source: ExportSource) -> str:
    best = [e for e in source.run.events() if isinstance(e, events.Evaluation) and e.best]
    if not best:
        return "## Metrics\n\nNone were recorded."
    return f"## Metrics\n\n{best[-1].split.capitalize()} accuracy {best[-1].accuracy:.2%}, loss {best[-1].loss:.4f}."


def _verification_section(verification: Verification) -> str:
    return (
        f"## Verification\n\nWeights in {verification.precision}. Loaded again by {verification.loaded_with}, "
        f"on {verification.images} validation images: "
        f"largest logit difference {verification.largest_difference:.2g} ({verification.tolerance:.2g} allowed), "
        f"the same best class on {verification.agreement:.1%}."
    )
