"""Nothing is extracted outside the folder, and a bad archive is refused as a whole."""

import gzip
import io
import os
import random
import shutil
import stat
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.core import paths
from studio.core.errors import StudioError
from studio.data.images.file_index import Cancelled
from studio.data.sources import extract_cache
from studio.data.sources.archive import ExtractLimits, cached_archive_folder, extract, is_safe_name

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.filterwarnings("ignore:Duplicate name")]
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Entries = list[tuple[str, bytes]]
Pack = Callable[[Path, Entries], Path]


def _zip(folder: Path, entries: Entries) -> Path:
    with zipfile.ZipFile(folder / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: the constructor would make it harmless
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return folder / "packed.zip"


def _tar(folder: Path, entries: Entries) -> Path:
    with tarfile.open(folder / "packed.tar.gz", "w:gz") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return folder / "packed.tar.gz"


packers = pytest.mark.parametrize("pack", [_zip, _tar])


def _refusal(archive: Path, limits: ExtractLimits | None = None) -> str:
    target = archive.parent / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with pytest.raises(StudioError) as caught:
        extract(archive, target, limits)
    return str(caught.value)


@packers
@pytest.mark.parametrize(
    "name", ["../out.png", "a/../../out.png", "/etc/out.png", "C:/out.png", "..\\out.png", "\\out"]
)
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, pack: Pack, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    assert "would be written outside" in _refusal(pack(tmp_path, [("a/ok.png", b"1"), (name, b"2")]))
    assert {path.name for path in set(tmp_path.rglob("*")) - before} <= {
        "target",
        "a",
        "ok.png",
        "packed.zip",
        "packed.tar.gz",
    }


@packers
@pytest.mark.parametrize("names", [("a/x.png", "a/X.png"), ("A/x.png", "a/y.png"), ("a/\xe9", "a/e\u0301")])
def test_names_that_are_equal_on_another_system_are_refused(tmp_path: Path, pack: Pack, names: tuple[str, str]) -> None:
    assert "only in case" in _refusal(pack(tmp_path, [(name, b"1") for name in names]))


@packers
def test_a_duplicate_name_is_refused(tmp_path: Path, pack: Pack) -> None:
    assert "appears twice" in _refusal(pack(tmp_path, [("a/x", b"1"), ("a/./x", b"2")]))


@pytest.mark.parametrize(
    ("kind", "expected_text"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a dev"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, expected_text: str) -> None:
    with tarfile.open(tmp_path / "packed.tar", "w") as archive:
        info = tarfile.TarInfo("a/x.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert f"its entry a/x.png is {expected_text}" in _refusal(tmp_path / "packed.tar")


@pytest.mark.parametrize(
    ("kind", "expected_text"), [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a device"), (stat.S_IFIFO, "a dev")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int, expected_text: str) -> None:
    info = zipfile.ZipInfo("a/x.png")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert f"its entry a/x.png is {expected_text}" in _refusal(tmp_path / "packed.zip")


@packers
def test_the_limits_hold(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path, [(f"a/{n}", bytes(100_000)) for n in range(10)])
    assert "more than 9 entries" in _refusal(archive, ExtractLimits(max_entries=9))
    assert "more than 999,999 bytes" in _refusal(archive, ExtractLimits(max_bytes=999_999))
    assert "extracts to more than" in _refusal(archive, ExtractLimits(max_ratio=20, ratio_exempt_bytes=0))
    extract(archive, tmp_path / "enough", ExtractLimits(max_entries=10, max_bytes=1_000_000))
    assert sum(path.stat().st_size for path in (tmp_path / "enough").rglob("*") if path.is_file()) == 1_000_000


@packers
def test_a_bomb_is_stopped_before_the_disk_is_full(tmp_path: Path, pack: Pack) -> None:
    archive = pack(tmp_path, [("a/bomb", bytes(80 << 20))])
    assert "extracts to more than 67,108,864 bytes" in _refusal(archive)
    written = sum(path.stat().st_size for path in (tmp_path / "target").rglob("*") if path.is_file())
    assert written <= 64 << 20


def test_a_refused_archive_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudioError):
        cached_archive_folder(_zip(tmp_path, [("a/ok.png", b"1"), ("../x", b"2")]))
    assert list((paths.cache_dir() / "sources").iterdir()) == []


names = st.lists(
    st.sampled_from(["a", "A", "b", "..", ".", "", "C:", "x\\..", "nul\0", "e\u0301", "\xe9"]), max_size=4
).map("/".join)


@packers
@few
@given(entries=st.lists(st.tuples(names, st.binary(max_size=8)), max_size=6))
def test_every_entry_is_extracted_inside_or_refused(
    tmp_path_factory: pytest.TempPathFactory, pack: Pack, entries: Entries
) -> None:
    folder = tmp_path_factory.mktemp("any")
    archive = pack(folder, entries)
    (folder / "outer" / "target").mkdir(parents=True)
    try:
        extract(archive, folder / "outer" / "target")
    except (StudioError, OSError):  # OSError: a file in place of a folder, reported by the caller
        pass
    else:
        assert all(is_safe_name(name) for name, _ in entries if "\0" not in name)
    assert [path.name for path in (folder / "outer").iterdir()] == ["target"]
    assert {path.name for path in folder.iterdir()} == {archive.name, "outer"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@packers
@few
@given(place=st.floats(0, 1, exclude_max=True), value=st.binary(min_size=1, max_size=6), cut=st.booleans())
def test_a_damaged_archive_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, pack: Pack, place: float, value: bytes, cut: bool
) -> None:
    archive = pack(tmp_path_factory.mktemp("any"), [("a/1.png", b"one" * 50), ("b/2.png", bytes(range(200)))])
    content = archive.read_bytes()
    at = int(place * len(content))
    archive.write_bytes(content[:at] + value + (b"" if cut else content[at + len(value) :]))
    try:
        folder = cached_archive_folder(archive)
    except StudioError:
        return
    assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))


def test_a_header_with_a_forged_length_takes_no_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax_header")
    header.type, header.size = tarfile.XHDTYPE, 3 << 30
    with gzip.open(tmp_path / "packed.tar.gz", "wb", compresslevel=1) as file:
        file.write(header.tobuf())
        for _ in range(40):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    assert "is damaged" in _refusal(tmp_path / "packed.tar.gz")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_long_names_still_fit_their_header(tmp_path: Path) -> None:
    name = "/".join(["a" * 200] * 5) + "/x.png"
    extract(_tar(tmp_path, [(name, b"1")]), tmp_path / "target")
    assert (tmp_path / "target" / name).read_bytes() == b"1"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_the_compression_of_a_tar_is_detected_by_content(tmp_path: Path, mode: str) -> None:
    with tarfile.open(tmp_path / "packed.tar", mode) as archive:
        info = tarfile.TarInfo("a/x.png")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    extract(tmp_path / "packed.tar", tmp_path / "target")
    assert (tmp_path / "target" / "a" / "x.png").read_bytes() == b"abc"


@packers
def test_extraction_reports_progress(tmp_path: Path, pack: Pack) -> None:
    draw = random.Random(0)
    archive = pack(tmp_path, [(f"a/{n}", draw.randbytes(200_000)) for n in range(5)])
    calls: list[tuple[str, int, int]] = []
    extract(archive, tmp_path / "target", progress=lambda *given: calls.append(given))
    size = archive.stat().st_size
    assert len(calls) >= 5
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert all((doing, total) == ("unpack", size) for doing, _, total in calls)
    assert 0 < calls[0][1] < size * 0.7
    assert calls[-1][1] > size * 0.8


@packers
def test_a_cancelled_extraction_leaves_nothing(tmp_path: Path, pack: Pack) -> None:
    def stop(doing: str, done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        cached_archive_folder(pack(tmp_path, [("a/x", bytes(1000))]), stop)
    assert list((paths.cache_dir() / "sources").iterdir()) == []


def _age(entry: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(entry / "manifest.json", (then, then))


def _cached_one_byte(folder: Path) -> Path:
    folder.mkdir()
    return cached_archive_folder(_zip(folder, [("a", b"1")])).parent


def test_extracted_folders_unused_for_a_week_are_removed_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused, used = _cached_one_byte(tmp_path / "unused"), _cached_one_byte(tmp_path / "used")
    _age(unused, 8), _age(used, 6)
    under_limit = _cached_one_byte(tmp_path / "third")
    assert unused.is_dir()
    monkeypatch.setattr(extract_cache, "_MAX_BYTES", 0)
    newest = _cached_one_byte(tmp_path / "fourth")
    assert set(newest.parent.iterdir()) == {used, under_limit, newest}


def test_an_extracted_folder_that_is_opened_again_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract_cache, "_MAX_BYTES", 0)
    folder = _cached_one_byte(tmp_path / "one")
    _age(folder, 31)
    assert cached_archive_folder(tmp_path / "one" / "packed.zip").parent == folder
    _cached_one_byte(tmp_path / "other")
    assert folder.is_dir()


def test_an_archive_may_hold_a_file_called_as_the_manifest_of_the_cache(tmp_path: Path) -> None:
    archive = _zip(tmp_path, [("manifest.json", b"mine"), ("a/x", b"1")])
    for _ in range(2):
        assert (cached_archive_folder(archive) / "manifest.json").read_bytes() == b"mine"


def test_an_incomplete_extracted_folder_is_extracted_again(tmp_path: Path) -> None:
    archive = _zip(tmp_path, [("a/x", b"1"), ("a/y", b"2")])
    (cached_archive_folder(archive) / "a" / "y").unlink()
    assert (cached_archive_folder(archive) / "a" / "y").read_bytes() == b"2"
