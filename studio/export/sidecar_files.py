"""What lies beside the weights in every export: labels, preprocessing, a script that uses them, and the model card."""

import shutil
from pathlib import Path

from studio.backbones.licenses import NOT_STATED, is_non_commercial, license_name
from studio.backbones.loading import resolve_backbone
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.files import write_json, write_text
from studio.export.contract import SHIPPED, Exporter, Subject, Verification


def write(exporter: Exporter, subject: Subject, folder: Path) -> None:
    """Write ``labels.json``, ``preprocessing.json``, ``preprocess.py``, ``predict.py`` and ``recipe.toml``."""
    write_json(folder / "labels.json", list(subject.labels))
    write_json(folder / "preprocessing.json", subject.preprocessing.as_json())
    subject.recipe.save(folder / "recipe.toml")
    shutil.copyfile(SHIPPED / "preprocess.py", folder / "preprocess.py")
    shutil.copyfile(exporter.script, folder / "predict.py")


def licence(subject: Subject) -> str:
    """The licence of the backbone's weights, as its makers state it."""
    return license_name(resolve_backbone(subject.recipe.backbone).license)


def write_card(exporter: Exporter, subject: Subject, folder: Path, verification: Verification) -> None:
    """Write ``README.md``: what it is, how to use it, what it was made from, how good it is, under which licence."""
    parts = [
        _front_matter(subject),
        f"# {subject.recipe.backbone.name} for {len(subject.labels)} classes ({exporter.label})",
        exporter.summary,
        "## Use\n\n```\npython predict.py IMAGE...\n```\n\nThe first line of `predict.py` says what it needs.",
        _data(subject),
        _recipe(subject),
        _metrics(subject),
        _verification(verification),
        _licence(licence(subject)),
    ]
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _licence(name: str) -> str:
    limit = " It forbids commercial use, also of what contains them or needs them." if is_non_commercial(name) else ""
    return f"## Licence\n\nThe backbone's weights: {name}.{limit} What was trained on top of them is yours."


def _front_matter(subject: Subject) -> str:
    name = licence(subject)
    known = "unknown" if name == NOT_STATED else name
    return f"---\nlicense: {known}\npipeline_tag: image-classification\ntags: [timm, peft]\n---"


def _data(subject: Subject) -> str:
    happened = next((e for e in subject.run.events() if isinstance(e, events.Started)), None)
    counts = f" {happened.training_images} to train, {happened.validation_images} to validate." if happened else ""
    source = Path(subject.recipe.data.path).name or subject.recipe.data.path
    return f"## Data\n\nImages from `{source}`.{counts} Classes: {', '.join(subject.labels)}."


def _recipe(subject: Subject) -> str:
    recipe, census = subject.recipe, subject.attached.census()
    attachments = "".join(f"- `{format_spec(a)}`\n" for a in recipe.attachments if a.enabled) or "- the head alone\n"
    training = recipe.training
    return (
        f"## Recipe\n\n{attachments}\n"
        f"{census.trainable_parameters:,} of {census.total_parameters:,} parameters were trained "
        f"({census.trainable_percent:.2f} %), for {training.epochs} epochs with {training.optimizer}, learning rate "
        f"{training.learning_rate:g}, batches of {training.batch_size}, seed {training.seed}. "
        "The whole recipe is in `recipe.toml`."
    )


def _metrics(subject: Subject) -> str:
    best = [e for e in subject.run.events() if isinstance(e, events.Evaluation) and e.best]
    if not best:
        return "## Metrics\n\nNone were recorded."
    return f"## Metrics\n\n{best[-1].split.capitalize()} accuracy {best[-1].accuracy:.2%}, loss {best[-1].loss:.4f}."


def _verification(verification: Verification) -> str:
    return (
        f"## Verification\n\nWeights in {verification.precision}. Loaded again by {verification.loaded_with}, "
        f"on {verification.images} validation images: "
        f"largest logit difference {verification.largest_difference:.2g} ({verification.tolerance:.2g} allowed), "
        f"the same best class on {verification.agreement:.1%}."
    )
