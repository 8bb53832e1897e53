"""A source is added by one class; the built-in ones are discovered."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from studio.api import FileIndex, Source, register_source
from studio.core import registry
from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.data.dataset.index import index_source
from studio.data.images.file_index import no_progress
from studio.data.sources import list_source, source_root
from studio.data.sources.contract import SOURCES, find_source


class TextList(Source):
    """Lines of "class path" in a file called list.txt of a folder."""

    name = "text_list"
    label = N_("Text list")
    extensions = (".txt",)

    def accepts(self, path: Path) -> bool:
        return (path / "list.txt").is_file()

    def list(self, path: Path) -> FileIndex:
        rows = [line.split(maxsplit=1) for line in (path / "list.txt").read_text().splitlines()]
        return FileIndex(path, ["cat", "dog"], [(Path(image), label, None) for label, image in rows])


@pytest.fixture
def text_list() -> Iterator[None]:
    list(SOURCES)
    register_source(TextList)
    yield
    del SOURCES._items["text_list"]


def _write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "list.txt").write_text("cat a/1.png\ndog a/2.png\ndog a/3.png\n")
    return folder


@pytest.mark.usefixtures("text_list")
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_added_source_is_used_before_plain_folders(tmp_path: Path, wrapped: bool) -> None:
    folder = _write(tmp_path / "set" / "inner" if wrapped else tmp_path / "set")
    summary = index_source(tmp_path / "set")
    assert (summary.path, summary.classes, summary.class_counts) == (folder, ("cat", "dog"), (1, 2))
    assert source_root(tmp_path / "set") == folder


def test_without_the_added_source_it_is_a_folder_without_images(tmp_path: Path) -> None:
    assert find_source(_write(tmp_path / "set")).name == "image_folder"
    assert list_source(tmp_path / "set").files == []


def test_the_sources_of_plugins_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text_list_plugin.py").write_text(
        f"from studio.api import register_source\nfrom {__name__} import TextList\nregister_source(TextList)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint("text_list", "text_list_plugin", group)] if group == "peft_studio.sources" else []

    monkeypatch.setattr(SOURCES, "_items", {})
    monkeypatch.setattr(SOURCES, "_loaded", False)
    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert [source.name for source in SOURCES] == ["text_list"]
    assert SOURCES.failures == {}


def test_each_suffix_belongs_to_one_source() -> None:
    suffixes = [suffix for source in SOURCES for suffix in source.extensions]
    assert len(set(suffixes)) == len(suffixes)
    assert {".zip", ".tar.gz", ".csv", ".parquet"} <= set(suffixes)


@pytest.mark.parametrize(("name", "code"), [("gone", "no-source"), ("notes.docx", "unknown-source")])
def test_a_path_that_no_source_accepts_is_refused(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "notes.docx").touch()
    with pytest.raises(StudioError) as caught:
        list_source(tmp_path / name)
    assert (caught.value.code, caught.value.message.values["path"]) == (code, str(tmp_path / name))


def test_a_source_must_list_or_unpack(tmp_path: Path) -> None:
    class Neither(Source):
        name, label = "neither", N_("Neither")

        def accepts(self, path: Path) -> bool:
            return True

    assert Neither().unpack(tmp_path, no_progress) == tmp_path
    with pytest.raises(NotImplementedError, match="Neither neither lists nor unpacks"):
        Neither().list(tmp_path)
