"""A user checks a folder of real photographs."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from studio.cli.main import main
from tests.data.bad_images import EXPECTED, make

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="some of the names and links cannot be made elsewhere")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    return make(tmp_path / "photos")


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_each_issue_has_kind_text_and_files(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, str(photos), "--json")
    problems = json.loads(out)["problems"]
    assert code == 0
    assert {problem["kind"]: len(problem["files"]) for problem in problems} == {k: len(v) for k, v in EXPECTED.items()}
    assert all(problem["text"].endswith(".") for problem in problems)


def test_the_issues_as_text(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, str(photos))
    assert code == 0
    assert "cat/bomb.png cannot be read (it has too many pixels) and is ignored." in out
    assert "4 images have an exact copy; each copy counts as one more image.\n  cat/copy.png" in out


def test_a_single_class_is_an_error(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(photos / "dog"), shutil.rmtree(photos / "bird")
    code, out, said = _run(capsys, str(photos))
    assert (code, out) == (2, "")
    assert "of one class, cat" in said
