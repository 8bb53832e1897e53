"""Making an export: built beside its place, verified there, and only then moved into it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.run import Run
from studio.export.contract import Exporter, ExportSource, Verification, exporters, formats_for, parse_precision


def export(
    run: Run,
    format: str,  # noqa: A002
    out: Path,
    overwrite: bool = False,
    precision: str = "float32",
) -> Verification:
    """Export a run's best adapter to the folder ``out`` and return how well it was verified.

    ``precision`` is what weights are stored in, "float32" or "float16"; they are computed with in float32. Raises
    StudioError, leaving nothing behind, where ``out`` is there already (unless ``overwrite``), the format cannot hold
    the run's methods, a package is missing, or the verification fails.
    """
    exporter = exporters.get(format)
    _check_packages(exporter)
    _check_output_folder(out, overwrite)
    _check_methods(exporter, run)
    subject = replace(_load_source(run), precision=parse_precision(precision))
    with _staging_folder(out) as folder:
        return write_export(exporter, subject, folder)


def write_export(exporter: Exporter, source: ExportSource, folder: Path) -> Verification:
    """Write everything of an export into ``folder`` and verify it; StudioError where it is beyond tolerance."""
    from studio.export import sidecar_files, verify

    exporter.write(source, folder)
    sidecar_files.write_sidecar_files(exporter, source, folder)
    verification = verify.verify_export(exporter, source, folder)
    if not verification.passed:
        raise StudioError(
            f"The {exporter.name} export was discarded: loaded again it differs from the run by "
            f"{verification.largest_difference:.3g} in its scores, and {verification.tolerance:.3g} is allowed."
        )
    write_json(folder / "verification.json", {"format": exporter.name, **verification.as_json()})
    sidecar_files.write_model_card(exporter, source, folder, verification)
    return verification


def _check_packages(exporter: Exporter) -> None:
    missing = [name for name in exporter.required_packages if find_spec(name) is None]
    if missing:
        raise StudioError(
            f"The {exporter.name} export needs {', '.join(missing)}: pip install 'peft-studio[{exporter.name}]'."
        )


def _check_output_folder(out: Path, overwrite: bool) -> None:
    if out.is_file():
        raise StudioError(f"{out} is a file; name a folder to export to.")
    if not overwrite and out.exists() and any(out.iterdir()):
        raise StudioError(f"{out} already exists and is not empty; name another folder, or have it replaced.")


def _check_methods(exporter: Exporter, run: Run) -> None:
    from studio.peft.contract import METHODS

    used = {a.method: METHODS.get(a.method) for a in run.recipe.attachments if a.enabled}
    for method in used.values():
        reason = exporter.unsupported_reason(method)
        if reason:
            able = sorted(name for name in formats_for(method) if all(name in formats_for(m) for m in used.values()))
            raise StudioError(f"{reason.rstrip('.')}; this run can be exported as {', '.join(able)}.")


def _load_source(run: Run) -> ExportSource:
    from studio.evaluation import restore

    restored = restore.load_trained(run)
    labels = tuple(restored.labels)
    return ExportSource(run, run.recipe, restored.model, labels, restored.preprocessing, restored.weights_digest)


@contextlib.contextmanager
def _staging_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its place if all goes well, and is removed if not."""
    out = out.absolute()
    folder = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
        _replace_folder(folder, out)
    except OSError as error:
        raise StudioError(f"The export cannot be written to {out}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(folder: Path, out: Path) -> None:
    """Move ``folder`` to ``out``; what was there goes only after the new one is in place."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.replace(old)
    folder.replace(out)
    shutil.rmtree(old, ignore_errors=True)
