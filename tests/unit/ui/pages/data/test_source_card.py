"""The dialogs for files of images follow from the registry of sources."""

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from studio.ui.pages.data.source_card import SourceChooser, file_source_text, file_sources


def test_each_file_source_has_a_dialog_with_its_suffixes(qtbot, monkeypatch):
    asked, chosen = [], []

    def choose(parent, title, folder, file_filter):
        asked.append(file_filter)
        return f"/images/{len(asked)}", file_filter

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    parent = QWidget()
    qtbot.addWidget(parent)
    chooser = SourceChooser(parent, chosen.append)
    for source in file_sources():
        chooser.choose_file(source)
    chooser.choose_list()
    archives, lists = "*.zip *.tar *.tar.gz *.tgz *.tar.bz2 *.tbz2 *.tar.xz *.txz", "*.csv *.tsv *.parquet *.pq"
    names = ["Zip or tar archive", "CSV or Parquet list"]
    assert asked == [f"{names[0]} ({archives})", f"{names[1]} ({lists})", f"{names[1]} ({lists})"]
    assert chosen == [Path(f"/images/{n}") for n in (1, 2, 3)]
    assert [file_source_text(source) for source in file_sources()] == [f"{name}…" for name in names]


def test_a_closed_dialog_chooses_nothing(qtbot, monkeypatch):
    chosen = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    parent = QWidget()
    qtbot.addWidget(parent)
    SourceChooser(parent, chosen.append).choose_list()
    assert chosen == []
