"""Tables of the command line."""

import re
import sys

import pytest

from studio.app.training import TrainingResult
from studio.cli.tables import make_table, plain_text, print_parts
from studio.cli.train import _result_text

TABLE = make_table(("name", "count"), (("[bold]cat[/bold] " + "x" * 200, 1), ("dog", 12)), right=(1,))


def test_a_pipe_gets_aligned_columns_without_wrapping_or_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_parts("Title", TABLE)
    title, empty, header, cat, dog = capsys.readouterr().out.splitlines()
    assert (title, empty) == ("Title", "")
    assert cat.startswith("[bold]cat[/bold] xxx")
    assert header.endswith("count")
    assert dog.endswith("   12")
    assert len({len(header), len(cat), len(dog)}) == 1


def test_a_terminal_gets_every_character_in_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    print_parts("[red]Title[/red]", TABLE)
    out = capsys.readouterr().out
    assert "[red]Title[/red]" in out
    assert "[bold]cat[/bold]" in out
    assert out.count("x") == 200
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 60


def test_an_empty_table_has_its_header() -> None:
    assert plain_text(make_table(("a", "b"), ())) == "a  b"


def test_a_result_says_how_much_time_was_spent_waiting() -> None:
    result = TrainingResult("run", "completed", 0.75, 2, seconds=100.0, waited=25.0, metrics={})
    text = "best validation accuracy 75.0% in epoch 2, 1 min 40 s, 25% of it waiting for images"
    assert _result_text(result).splitlines() == [text, "run"]
