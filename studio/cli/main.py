"""The command line: ``peft-studio VERB``.

A verb imports its dependencies when it runs, so that ``--help`` is fast.
"""

import click

from studio.cli.app import app
from studio.cli.backbones import backbones
from studio.cli.compare import compare
from studio.cli.console import CommandGroup
from studio.cli.data import data
from studio.cli.demo import demo
from studio.cli.doctor import doctor
from studio.cli.evaluate import evaluate
from studio.cli.export import export
from studio.cli.import_peft import import_
from studio.cli.inspect import inspect
from studio.cli.methods import methods
from studio.cli.predict import predict
from studio.cli.sweep import sweep
from studio.cli.train import train
from studio.cli.xray import xray


@click.group(cls=CommandGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="peft-studio", prog_name="peft-studio")
@click.pass_context
def main(context: click.Context) -> None:
    """Parameter-efficient fine-tuning of image classifiers.

    Without a command the window opens.
    """
    if context.invoked_subcommand is None:
        context.invoke(app)


for verb in (
    app,
    demo,
    methods,
    backbones,
    inspect,
    data,
    train,
    evaluate,
    xray,
    predict,
    export,
    import_,
    compare,
    sweep,
    doctor,
):
    main.add_command(verb)
