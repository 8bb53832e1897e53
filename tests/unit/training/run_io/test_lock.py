"""One writer for each run directory."""

import errno
import os
from pathlib import Path

import pytest

from studio.core.errors import StudioError
from studio.training.run_io.lock import is_locked, run_lock


def test_the_lock_ends_with_its_block(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(StudioError, match="trained already"), run_lock(tmp_path):
            pass
        with pytest.raises(StudioError, match="trained already"), run_lock(tmp_path):
            pass
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything can be written here")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StudioError, match="cannot be written"), run_lock(tmp_path):
        pass


def test_a_read_only_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StudioError, match=r"cannot be written to .*: Read-only file system"), run_lock(tmp_path):
        pass


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="cannot be written"), run_lock(tmp_path / "gone"):
        pass
