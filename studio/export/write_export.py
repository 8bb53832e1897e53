"""Export of a run: written to a temporary folder, verified, then moved."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from studio.core.errors import StudioError, write_error
from studio.core.files import replace_folder, write_json
from studio.core.messages import N_
from studio.core.run import Run
from studio.export.contract import (
    EXPORTERS,
    Exporter,
    ExportSource,
    Verification,
    formats_for,
    missing_packages,
    parse_precision,
)


def export(
    run: Run,
    format: str,  # noqa: A002
    out: Path,
    overwrite: bool = False,
    precision: str = "float32",
) -> Verification:
    """Export a run's best adapter to the folder ``out`` and return its verification.

    ``precision`` is the data type of the stored weights, "float32" or "float16"; all computation is in float32. Raises
    StudioError, and leaves nothing behind, if ``out`` exists already (without ``overwrite``), the format does not
    support the run's methods, a package is missing, or the verification fails.
    """
    exporter = EXPORTERS.get(format)
    _check_packages(exporter)
    _check_output_folder(out, overwrite)
    _check_methods(exporter, run)
    source = replace(_load_source(run), precision=parse_precision(precision))
    with _staging_folder(out) as folder:
        return write_export(exporter, source, folder)


def write_export(exporter: Exporter, source: ExportSource, folder: Path) -> Verification:
    """Write and verify an export; StudioError if it exceeds the tolerance."""
    from studio.export import sidecar_files, verify

    exporter.write(source, folder)
    sidecar_files.write_sidecar_files(exporter, source, folder)
    verification = verify.verify_export(exporter, source, folder)
    if not verification.passed:
        raise StudioError(
            "export-differs",
            "The {format} export was discarded: its scores differ from the run's by {difference:.3g}, and "
            "{tolerance:.3g} is allowed. Choose another format.",
            format=exporter.name,
            difference=verification.largest_difference,
            tolerance=verification.tolerance,
        )
    write_json(folder / "verification.json", {"format": exporter.name, **verification.as_json()})
    sidecar_files.write_model_card(exporter, source, folder, verification)
    return verification


def _check_packages(exporter: Exporter) -> None:
    missing = missing_packages(exporter.packages)
    if missing:
        wanted = f"'peft-studio[{exporter.extra}]'" if exporter.extra else " ".join(missing)
        raise StudioError(
            "missing-package",
            "Export to {format} needs {packages}. Install with: pip install {wanted}.",
            format=exporter.name,
            packages=", ".join(missing),
            wanted=wanted,
        )


def _check_output_folder(out: Path, overwrite: bool) -> None:
    if out.is_file():
        raise StudioError("cannot-write", "Cannot export to {path}: it is a file. Choose a folder.", path=out)
    if not overwrite and out.exists() and any(out.iterdir()):
        raise StudioError(
            "folder-not-empty",
            "Cannot export to {path}: it already exists and is not empty. Choose another folder, or replace it.",
            path=out,
        )


def _check_methods(exporter: Exporter, run: Run) -> None:
    from studio.peft.contract import METHODS

    used = [METHODS.get(name) for name in dict.fromkeys(a.method for a in run.recipe.attachments if a.enabled)]
    for method in used:
        reason = exporter.unsupported_reason(method)
        if reason:
            raise StudioError(
                "unsupported-format",
                "{reason} Choose another format: {formats}.",
                reason=reason,
                formats=", ".join(formats_for(*used)),
            )


def _load_source(run: Run) -> ExportSource:
    from studio.evaluation import restore

    trained = restore.load_trained(run)
    return ExportSource(
        run, run.recipe, trained.model, tuple(trained.labels), trained.preprocessing, trained.weights_digest
    )


@contextlib.contextmanager
def _staging_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``out`` if the block succeeds.

    Raises StudioError if it cannot be written.
    """
    try:
        with replace_folder(out) as folder:
            yield folder
    except OSError as error:
        raise write_error(N_("the export"), out, error) from error
