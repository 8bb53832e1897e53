"""The word list finds what the style guide rules out, where it stands, and nothing else."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging/check_language.py"
LANGUAGE = runpy.run_path(str(SCRIPT))


def check_text(folder: Path, name: str, text: str) -> list[str]:
    """Return what is found in a repository of one file, without the file's name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [line.removeprefix(f"{name}:") for line in LANGUAGE["check_folder"](folder)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A pattern that is cleared is wrong no more.", "no more: no longer; at most"),
        ("How many shall it have?", "shall: must, can or will"),
        ("It learns its images by heart.", "by heart: overfitting"),
        ("The window goes on.", "goes on: resume or continue; is attached to"),
        ("Go on with the run.", "Go on: resume or continue; is attached to"),
        ("The number\nto beat.", "number to beat: baseline"),
        ("Let go to take {name} off.", "take {name} off: remove"),
        ("Let go to take it off the layer.", "take it off: remove"),
        ("It is so large that it waits.", "so large that: so that; too … to; two sentences"),
        ("Show all findings.", "findings: issues"),
        ("What is switched off is gray.", "What: begin with the subject"),
        ("It waits. Where it ends, it stops.", "Where: begin with the subject"),
        ("- Whoever reads this.", "Whoever: begin with the subject"),
        ("| one | Whatever it is |", "Whatever: begin with the subject"),
        ("What does it cost?", ""),
        ("It says what is so, so that all see where.", ""),
        ("Never `shall`, never `no more`.", ""),
        ("```\nWhat is no more shall go on.\n```", ""),
        ("A colour of it.", "colour: color"),
        ("Centred.", "Centred: centered"),
        ("It is a centre.", "centre: center"),
        ("Colors are normalized; the analyses organize organisms.", ""),
        ("An optimiser.", "optimiser: optimizer"),
    ],
)
def test_a_phrase_in_markdown(tmp_path, text, found):
    lines = [line.partition(": ")[2] for line in check_text(tmp_path, "README.md", text)]
    assert lines == ([found] if found else [])


def test_every_issue_has_its_line(tmp_path):
    text = "# Title\n\nOne paragraph that\nshall end.\n\n```\ncode\n```\n\n- an item\n- an item goes\n  on\n"
    assert check_text(tmp_path, "README.md", text) == [
        "4: shall: must, can or will",
        "11: goes on: resume or continue; is attached to",
    ]


PYTHON = '''"""What a module is."""
import licence_words

# A comment that
# goes on.
COLOUR = "grey"  # of the centre


def colour_of(licence: str) -> str:
    """Return it.

    It shall be."""
    return f"No {1} more. What {1} is no more {1}" "Where it is."


OLD = "colour"  # language: kept
'''


def test_names_comments_and_strings_of_python(tmp_path):
    assert check_text(tmp_path, "studio/a.py", PYTHON) == [
        "1: What: begin with the subject",
        "2: licence_words: license_words",
        "5: goes on: resume or continue; is attached to",
        "6: COLOUR: color",
        "6: centre: center",
        "6: grey: gray",
        "9: colour_of: color_of",
        "9: licence: license",
        "12: shall: must, can or will",
        "13: What: begin with the subject",
        "13: no more: no longer; at most",
    ]


def test_the_english_of_a_catalog_and_not_its_translation(tmp_path):
    first, second = (
        'msgid ""\n"You shall "\n"stop."\nmsgstr "colour"\n',
        'msgid "One colour"\nmsgid_plural "{n} colours"\n',
    )
    assert check_text(tmp_path, "studio/i18n/zh.po", f'{first}\n{second}msgstr[0] ""\n') == [
        "1: shall: must, can or will",
        "6: colour: color",
        "7: colours: colors",
    ]


def test_toml_and_names_of_files(tmp_path):
    assert check_text(tmp_path, "resources/colours.toml", 'title = "a"\ntext = "What is big."\n') == [
        "1: colours: colors",
        "2: What: begin with the subject",
    ]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("ui: draw a focus ring\n", []),
        ("ui, data: Embed the table\n\nThe table took 3 ms.\n# What is a comment\n", []),
        ("Merge branch 'main'\n", []),
        ("Draw a focus ring\n", ["line 1: write the subject as `area: imperative subject`, without a period"]),
        ("ui: draw it.\n", ["line 1: write the subject as `area: imperative subject`, without a period"]),
        ("ui: added a ring\n", ["line 1: added: begin with an imperative verb"]),
        ("ui: Adding a ring\n", ["line 1: Adding: begin with an imperative verb"]),
        ("ui: fixes the ring\n", ["line 1: fixes: begin with an imperative verb"]),
        ("ui: the ring is wrong\n", ["line 1: the: begin with an imperative verb"]),
        ("ui: pass the ring to bring focus\n", []),
        (f"ui: draw {'x' * 64}\n", ["line 1: 73 characters: write 72 at most"]),
        (f"ui: draw {'x' * 63}\n", []),
        ("ui: draw a ring\nIt is blue.\n", ["line 2: leave a blank line after the subject"]),
        ("ui: draw a ring\n\nIt shall\nbe of a colour.\n", [
            "line 3: shall: must, can or will", "line 4: colour: color",
        ]),
        ("", ["line 1: write the subject as `area: imperative subject`, without a period"]),
    ],
)  # fmt: skip
def test_the_message_of_a_commit(tmp_path, message, found):
    assert LANGUAGE["check_message"](message) == found


def test_the_command_prints_the_issues_and_fails(tmp_path):
    (tmp_path / "README.md").write_text("It shall be.", encoding="utf-8")
    message = tmp_path / "COMMIT_EDITMSG"
    message.write_text("ui: draw a ring\n", encoding="utf-8")
    runs = [
        subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False, encoding="utf-8")
        for words in ([tmp_path], ["--message", message])
    ]
    assert [(run.returncode, run.stdout, run.stderr) for run in runs] == [
        (1, "README.md:1: shall: must, can or will\n", ""),
        (0, "", ""),
    ]
