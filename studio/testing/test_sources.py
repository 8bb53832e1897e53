"""The contract of image sources: description, and fast, exact acceptance."""

from pathlib import Path

from studio.data.sources.contract import Source


def test_a_source_is_described(source: Source) -> None:
    assert source.name == source.name.lower()
    assert source.label
    assert all(extension.startswith(".") and extension == extension.lower() for extension in source.extensions)
    assert isinstance(source.precedence, int)
    assert not vars(source)


def test_a_source_lists_or_unpacks(source: Source) -> None:
    kind = type(source)
    assert kind.list is not Source.list or kind.unpack is not Source.unpack


def test_a_source_declines_files_of_other_kinds(source: Source, tmp_path: Path) -> None:
    other = tmp_path / "notes.unknown"
    other.write_text("text")
    assert not source.accepts(other)


def test_a_source_recognizes_its_extensions(source: Source, tmp_path: Path) -> None:
    for extension in source.extensions:
        file = tmp_path / f"IMAGES{extension.upper()}"
        file.write_bytes(b"")
        assert source.has_extension(file)
