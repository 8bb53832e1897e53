"""The run of a training command, also if torchrun starts the command repeatedly."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from studio.app import training
from studio.core import paths
from studio.core.errors import StudioError
from studio.core.run import Run, list_runs
from studio.data.images.file_index import ProgressCallback

if TYPE_CHECKING:
    from studio.training.distributed.context import DistributedContext


def start_or_resume(
    path: Path,
    out: Path | None,
    assignments: Sequence[str],
    resume: bool,
    team: "DistributedContext",
    progress: ProgressCallback | None = None,
) -> tuple[Run, bool]:
    """Return the run and whether it is resumed; the same in all processes.

    A command of torchrun resumes the run that it started before, in the same ``out`` or by the same torchrun.
    """
    folder, is_resumed = team.broadcast_from_main(lambda: _find_or_start(path, out, assignments, resume, progress))
    return Run(Path(folder)), bool(is_resumed)


def _find_or_start(
    path: Path, out: Path | None, assignments: Sequence[str], resume: bool, progress: ProgressCallback | None
) -> tuple[str, bool]:
    from studio.training.distributed.context import elastic_run_id

    if resume:
        return str(training.open_for_resume(path, out, assignments).path), True
    launch = elastic_run_id()
    earlier = _earlier_run(path, out, assignments, launch) if launch else None
    if earlier is not None:
        return str(earlier.path), True
    run = training.create_run_from_file(path, out, assignments, progress)
    if launch:
        run.write_status(state="running", launch=launch)
    return str(run.path), False


def _earlier_run(path: Path, out: Path | None, assignments: Sequence[str], launch: str) -> Run | None:
    """Return the run that was started before; StudioError if ``out`` has another."""
    from studio.training.distributed.context import elastic_restart_count

    if out is None:
        started = (run for run in list_runs(paths.runs_dir()) if run.status.get("launch") == launch)
        return next(started, None) if elastic_restart_count() else None
    if not (out / "recipe.toml").is_file():
        return None
    run = Run.open(out)
    if run.recipe != training.load_recipe(path, assignments):
        raise StudioError(
            "folder-not-empty", "{path} contains a run of another recipe. Choose another folder with --out.", path=out
        )
    return run
