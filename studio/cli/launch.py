"""Which run a training begins or goes on with, also where torchrun starts the same command several times over."""

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
    """The run of a recipe (or with ``resume`` the run itself) and whether it goes on; the same in all processes.

    What torchrun starts goes on by itself where it was begun before: in the same ``out``, or by the same torchrun.
    """
    place, goes_on = team.broadcast_from_main(lambda: _find_or_start(path, out, assignments, resume, progress))
    return Run(Path(place)), bool(goes_on)


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
    """The run that was begun before; StudioError where ``out`` holds another."""
    from studio.training.distributed.context import elastic_restart_count

    if out is None:
        begun = (run for run in list_runs(paths.runs_dir()) if run.status.get("launch") == launch)
        return next(begun, None) if elastic_restart_count() else None
    if not (out / "recipe.toml").is_file():
        return None
    run = Run.open(out)
    if run.recipe != training.load_recipe(path, assignments):
        raise StudioError(f"{out} holds a run of another recipe; name another folder with --out.")
    return run
