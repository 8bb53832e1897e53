"""Choosing images in the window."""

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent

from studio.ui.images import small_picture


def scanned(window, qtbot, path):
    window.data.use(path)
    qtbot.waitUntil(lambda: not window.workspace.images.scan.busy, timeout=30_000)
    return window.data


def notices(page):
    return [page.findings.itemAt(i).widget().words for i in range(page.findings.count())]


def test_at_first_the_page_offers_a_folder_and_the_sample_project(window):
    assert window.data.stack.currentIndex() == 0
    assert window.workspace.images.scan.path == ""
    assert window.data.notice.isHidden()


def test_a_folder_is_counted_and_shown(window, qtbot, make_images, tmp_path):
    make_images("set/cats", 6)
    make_images("set/dogs", 4)
    page = scanned(window, qtbot, tmp_path / "set")
    assert page.bars.rows == (("cats", 6), ("dogs", 4))
    assert page.grid_model.rowCount() == 10
    assert page.counts.text().startswith("10 images in 2 classes: ")
    assert notices(page) == ["Every image can be read, and nothing else is in the folder."]
    assert window.workspace.recipe.data.path == str(tmp_path / "set")


def test_a_folder_can_be_dropped(window, qtbot, make_images, tmp_path, qapp):
    make_images("set/cats", 2)
    make_images("set/dogs", 2)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "set"))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    point = QPoint(9, 9)
    qapp.sendEvent(window.data.zone, QDragEnterEvent(point, copy, data, left, none))
    assert window.data.zone.property("over") is True
    qapp.sendEvent(window.data.zone, QDropEvent(QPointF(point), copy, data, left, none))
    assert window.workspace.recipe.data.path == str(tmp_path / "set")


def test_choosing_a_folder_can_be_undone(window, qtbot, make_images, tmp_path):
    make_images("set/cats", 2)
    make_images("set/dogs", 2)
    page = scanned(window, qtbot, tmp_path / "set")
    window.undo()
    assert page.stack.currentIndex() == 0
    assert window.workspace.images.scan.summary is None


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ({}, "There is no folder"),
        ({"set/cats": 0}, "There are no images in"),
        ({"set/cats": 3}, "All images in"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_clear_sentence(window, qtbot, make_images, tmp_path, folders, sentence):
    for folder, count in folders.items():
        make_images(folder, count)
    page = scanned(window, qtbot, tmp_path / "set")
    assert page.notice.isVisible()
    assert page.notice.words.startswith(sentence)
    assert page.notice.words.count("\n") == 0
    assert not page.next.isEnabled()


def test_an_unreadable_image_is_named_and_the_rest_is_used(window, qtbot, make_images, tmp_path):
    make_images("set/cats", 3)
    make_images("set/dogs", 3)
    (tmp_path / "set/dogs/broken.png").write_bytes(b"not an image")
    page = scanned(window, qtbot, tmp_path / "set")
    assert page.bars.rows == (("cats", 3), ("dogs", 3))
    assert len(notices(page)) == 1
    assert "broken.png" in notices(page)[0]


def test_looking_again_finds_new_images(window, qtbot, make_images, tmp_path):
    make_images("set/cats", 2)
    folder = make_images("set/dogs", 2)
    page = scanned(window, qtbot, tmp_path / "set")
    Image.new("RGB", (8, 8)).save(folder / "new.png")
    window.workspace.images.rescan()
    qtbot.waitUntil(lambda: page.bars.rows == (("cats", 2), ("dogs", 3)), timeout=30_000)


def test_the_sample_images_have_ten_classes_and_set_the_heads_size(ready, qtbot):
    ready.data.use_sample()
    qtbot.waitUntil(lambda: ready.workspace.images.scan.summary is not None, timeout=30_000)
    assert len(ready.data.bars.rows) == 10
    assert ready.data.source.text() == "Sample images: handwritten digits"
    assert ready.workspace.classes == 10


def test_a_folder_of_three_classes_gives_a_head_of_three_outputs(ready, qtbot, make_images, tmp_path):
    for name in "abc":
        make_images(f"set/{name}", 2)
    scanned(ready, qtbot, tmp_path / "set")
    qtbot.waitUntil(lambda: ready.workspace.engine.last.classes == 3, timeout=30_000)
    assert ready.workspace.engine.last.census.head_parameters == 3 * 96 + 3


def test_an_upright_thumbnail_of_a_photograph_that_lies_on_its_side(qapp, tmp_path):
    image = Image.new("RGB", (80, 40), "red")
    image.paste("blue", (0, 0, 40, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)
    picture = small_picture(tmp_path / "x.jpg", 20)
    assert (picture.width(), picture.height()) == (20, 20)
    assert picture.pixelColor(10, 2).blue() > 200
    assert picture.pixelColor(10, 17).red() > 200
    assert small_picture(Path("missing.png"), 20).isNull()
