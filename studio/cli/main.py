"""The command line: ``peft-studio VERB``. What a verb needs is imported when it runs: ``--help`` answers at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studio.cli import console, export
from studio.cli.console import PATH, Commands, Meter, as_json, note, out_option, print_json
from studio.core.errors import StudioError
from studio.core.formatting import program, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from studio.core.control import Control
    from studio.core.events import Event
    from studio.core.recipe import Recipe
    from studio.core.run import Run


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="peft-studio", prog_name="peft-studio")
@click.pass_context
def main(context: click.Context) -> None:
    """Parameter-efficient fine-tuning of image classifiers. Without a verb: open the window."""
    if context.invoked_subcommand is None:
        context.invoke(app)


@main.command()
@click.argument("path", type=PATH, required=False, metavar="[RECIPE or RUN]")
def app(path: Path | None = None) -> int:
    """Open the window, on a recipe or a run if one is named."""
    from studio.cli.doctor import require_display

    require_display()
    if path is not None and not path.exists():
        raise StudioError(f"There is no recipe or run {path}.")
    try:
        from studio.ui.application import run
    except ImportError as error:
        raise StudioError(f"The window cannot be opened, because Qt does not load: {error}.") from error
    return run(str(path) if path else None)


@main.command()
@out_option
@as_json
def demo(out: Path | None, as_json: bool) -> int:
    """Run the embedded example: train LoRA on the bundled digits, evaluate, export, verify."""
    from studio.cli import demo as embedded
    from studio.core.control import Control

    control = Control()
    with console.signals_stop(control):
        report = embedded.run(out, control, show=_follow, say=note)
    if report is None:
        return console.interrupted("Stopped; the demo can be started anew at any time.")
    print_json(report.as_json()) if as_json else click.echo(report.as_text())
    return 0


@main.command()
@click.argument("name", required=False)
@as_json
def methods(name: str | None, as_json: bool) -> None:
    """List the PEFT methods, or tell all about one."""
    from studio.app import method_info as known

    if name:
        described = known.describe(name)
        print_json(described.as_json()) if as_json else click.echo(described.as_text())
    elif as_json:
        print_json({"methods": [method.as_json() for method in known.describe_all()]})
    else:
        rows = [(m.name, m.label, "yes" if m.mergeable else "no", m.summary) for m in known.describe_all()]
        click.echo(table(("name", "method", "merges", "what it is"), rows))


@main.command()
@click.argument("pattern", default="")
@as_json
def backbones(pattern: str, as_json: bool) -> None:
    """List the backbones with the words of PATTERN in name, family or size, or whose name it matches with a *."""
    from studio.cli import backbones_text

    found = backbones_text.search(pattern)
    if as_json:
        return print_json({"backbones": [entry.as_json() for entry in found]})
    return click.echo(backbones_text.as_text(found) if found else backbones_text.nothing(pattern))


@main.command()
@click.argument("backbone", metavar="BACKBONE_or_RECIPE")
@click.option("--attach", multiple=True, metavar="METHOD@TARGET[:SLICES][,field=value…]", help="May be repeated.")
@click.option("--classes", type=click.IntRange(1), help="Outputs of the classifier.")
@as_json
def inspect(backbone: str, attach: tuple[str, ...], classes: int | None, as_json: bool) -> None:
    """Show the layer tree and what attachments would cost. No weights are loaded."""
    from studio.cli.inspect_text import report

    found = report(backbone, attach, classes)
    print_json(found.as_json()) if as_json else click.echo(found.as_text())


@main.group()
def data() -> None:
    """Look at a folder of images."""


@data.command()
@click.argument("path", type=str)
@as_json
def check(path: str, as_json: bool) -> None:
    """Say what is in the folder and what is wrong with it."""
    from studio.cli import data_text
    from studio.core.paths import locate
    from studio.data.checks import check as examine

    with Meter("Looking", 1) as meter:
        found = examine(locate(path), progress=meter.reach)
    print_json(found.as_json()) if as_json else click.echo(data_text.as_text(found))


@main.command()
@click.argument("recipe", type=PATH)
@out_option
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a value of the recipe.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out (or with the run named as RECIPE).")
@click.option("--suggest", is_flag=True, help="Take a rate, batches and epochs that suit; --set has the last word.")
@click.option("--preflight", is_flag=True, help="Only measure, in a few steps, what memory and time it would take.")
@click.option("--find-rate", is_flag=True, help="Only try learning rates, in a hundred steps, and suggest one.")
@as_json
def train(
    recipe: Path,
    out: Path | None,
    assignments: tuple[str, ...],
    resume: bool,
    suggest: bool,
    preflight: bool,
    find_rate: bool,
    as_json: bool,
) -> int:
    """Run a recipe."""
    from studio.app import suggested_hparams, training
    from studio.cli import launch
    from studio.core.control import Control
    from studio.training.distributed import context as teams

    if suggest:
        assignments = suggested_hparams.assignments(recipe, assignments)
    if preflight:
        return _preflight(training.load(recipe, assignments), as_json)
    control = Control()
    if find_rate:
        return _rates(training.load(recipe, assignments), control, as_json)
    with teams.joined() as team, console.signals_stop(control):
        with Meter("Looking at the images", 1) as meter:
            run, goes_on = launch.begin(recipe, out, assignments, resume, team, meter.reach)
        if team.alone and not goes_on and sys.stderr.isatty():
            _forecast(run, control)
        happening = training.train(run, control, goes_on, team)
        if not team.leads:
            return _silently(happening)
        _follow("Training", happening)
    result = training.result(run)
    print_json(result.as_json()) if as_json else click.echo(result.as_text())
    if result.reason == "stopped":
        return console.interrupted(f"Stopped; go on with: {program()} train {run.path} --resume")
    return 0


@main.command()
@click.argument("run", type=PATH)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@as_json
def evaluate(run: Path, split: str, as_json: bool) -> None:
    """Measure a run's best adapter on a split."""
    from studio.cli.metrics_text import as_text
    from studio.evaluation import evaluate as measure

    metrics = measure(_run(run), split)
    print_json(metrics.as_json()) if as_json else click.echo(as_text(metrics))


@main.command()
@click.argument("run", type=PATH)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@as_json
def xray(run: Path, split: str, as_json: bool) -> None:
    """Say what each attachment is worth, and how much training changed each weight."""
    from studio.cli.ablation_text import as_text
    from studio.evaluation.ablation import xray as look

    found = look(_run(run), split)
    print_json(found.as_json()) if as_json else click.echo(as_text(found))


for verb in (export.predict, export.export, export.import_):
    main.add_command(verb)


@main.command()
@click.argument("runs", type=PATH, nargs=-1, required=True, metavar="RUN…")
@click.option("--report", type=PATH, metavar="DIR", help="Write a page with tables and charts, report.html, there.")
@as_json
def compare(runs: tuple[Path, ...], report: Path | None, as_json: bool) -> None:
    """Put the recipes and results of runs side by side."""
    from studio.app.comparison import comparison

    opened = [_run(path) for path in runs]
    found = comparison.compare(opened)
    if report:
        note(f"The report is in {_report(opened, report)}")
    print_json(found.as_json()) if as_json else click.echo(found.as_text())


@main.command()
@click.argument("recipe", type=PATH, metavar="RECIPE or SWEEP")
@click.option("--set", "axes", multiple=True, metavar="KEY=VALUE,VALUE…", help="Values to try. May be repeated.")
@click.option("--preset", type=click.Choice(["ranks", "lora-against-adapter"]), help="A sweep that is often wanted.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Runs of each combination.")
@click.option("--search", type=click.IntRange(1), metavar="N", help="Let Optuna choose N of them; KEY=LOW..HIGH too.")
@click.option("--storage", default="", metavar="FILE_or_URL", help="Where the search is kept, to share it.")
@out_option
@as_json
def sweep(
    recipe: Path,
    axes: tuple[str, ...],
    preset: str,
    seeds: int,
    search: int | None,
    storage: str,
    out: Path | None,
    as_json: bool,
) -> int:
    """Train a recipe with every combination of values. The same command again goes on where it was stopped."""
    from studio.app.sweeps import search as searches
    from studio.app.sweeps import sweep as sweeps
    from studio.core.control import Control

    control = Control()
    started: searches.Search | sweeps.Sweep
    if search or searches.is_search(recipe):
        if preset:
            raise StudioError("A preset names its recipes itself; leave --search out.")
        started = searches.start(recipe, out, axes, search or 1, seeds, storage)
        with console.signals_stop(control):
            searches.train(started, control, show=_follow, say=note)
    else:
        started = sweeps.start(recipe, out, axes, preset or "", seeds)
        with console.signals_stop(control):
            sweeps.train(started, control, show=_follow, say=note)
    found, page = started.comparison(), _report(started.runs(), started.folder)
    if as_json:
        print_json({"sweep": str(started.folder), "report": str(page), **found.as_json()})
    else:
        click.echo(f"{found.as_text()}\n\nreport  {page}")
    if control.stopping:
        return console.interrupted(f"Stopped; go on with: {program()} sweep {started.folder}")
    return 0 if started.complete else 1


@main.command()
@as_json
def doctor(as_json: bool) -> int:
    """Say what this machine has and what is broken."""
    from studio.cli import doctor as health

    findings = health.examine()
    if as_json:
        print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        click.echo(table(("what", "state", ""), [(f.what, f.state, f.detail) for f in findings]))
    return 1 if any(f.state == "broken" for f in findings) else 0


def _preflight(recipe: "Recipe", as_json: bool) -> int:
    """Measure here and now: this process has nothing else to do."""
    from studio.app import estimate_cache as preflight
    from studio.app import training

    training.check(recipe)
    found = preflight.measure_here(recipe)
    print_json(preflight.as_json(found)) if as_json else click.echo(preflight.as_text(found))
    return 0


def _rates(recipe: "Recipe", control: "Control", as_json: bool) -> int:
    """Try learning rates; Ctrl+C ends that with nothing left behind."""
    from studio.app import lr_finder_text, training

    training.check(recipe)
    with console.signals_stop(control):
        curve = lr_finder_text.find_rate(recipe, control)
    print_json(lr_finder_text.as_json(curve)) if as_json else click.echo(lr_finder_text.as_text(curve))
    return 0


def _forecast(run: "Run", control: "Control") -> None:
    """Say what a new run will take; where that cannot be measured, why, and train all the same."""
    from studio.app import estimate_cache as preflight

    try:
        note(preflight.as_text(preflight.known(run.recipe) or preflight.measure(run.recipe, control)))
    except StudioError as error:
        note(str(error))


def _report(runs: "Sequence[Run]", folder: Path) -> Path:
    from studio.app.comparison import seed_groups as report

    return report.write(report.gather(runs), folder)


def _run(path: Path) -> "Run":
    from studio.core.run import Run

    return Run.open(path)


def _follow(label: str, happening: "Iterable[Event]") -> None:
    """Show a training run as it goes."""
    from studio.core import events

    with Meter(label, 1) as meter:
        for event in happening:
            if isinstance(event, events.Started):
                meter.expect(event.steps, event.step)
            elif isinstance(event, events.Step):
                meter.at(event.step, f"loss {event.loss:.3f}")
            elif isinstance(event, events.Evaluation):
                meter.line(f"epoch {event.epoch}, loss {event.loss:.3f}, {event.split} accuracy {event.accuracy:.1%}")
            elif isinstance(event, events.Warning):
                meter.line(event.text)


def _silently(happening: "Iterable[Event]") -> int:
    """Train beside the process that speaks to the user, and end as it does."""
    ended = [getattr(event, "reason", "") for event in happening][-1]
    return console.INTERRUPTED if ended == "stopped" else 0
