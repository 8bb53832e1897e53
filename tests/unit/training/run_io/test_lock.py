"""One writer for each run directory."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from studio.core.errors import StudioError
from studio.training.run_io.lock import is_locked, run_lock


def test_the_lock_ends_with_its_block(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        assert is_locked(tmp_path)
        for _ in range(2):
            with pytest.raises(StudioError, match="already being trained") as refused, run_lock(tmp_path):
                pass
            assert refused.value.code == "run-in-use"
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything can be written here")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StudioError, match="Cannot write the run"), run_lock(tmp_path):
        pass


def test_a_read_only_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(StudioError, match=r"Cannot write the run to .*: Read-only file system"), run_lock(tmp_path):
        pass


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="Cannot write the run") as refused, run_lock(tmp_path / "gone"):
        pass
    assert refused.value.code == "cannot-write"
    assert not (tmp_path / "gone").exists()


def test_the_lock_of_another_process_is_seen_and_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from studio.training.run_io.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        other.kill()
        other.wait()
    assert not is_locked(tmp_path)


def test_a_lock_that_another_thread_took_can_be_released_here(tmp_path: Path) -> None:
    held = run_lock(tmp_path)
    thread = threading.Thread(target=held.__enter__)
    thread.start()
    thread.join()
    assert is_locked(tmp_path)
    held.__exit__(None, None, None)
    assert not is_locked(tmp_path)
