"""The Data page: choosing images, viewing them, and deciding which are used."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest

from studio.app.baseline import Baseline
from studio.core.recipe import Data
from studio.ui.pages.data.class_list import ALL_CLASSES
from studio.ui.pages.data.image_model import IMAGES_MIME
from studio.ui.pages.data.page import DataPage
from studio.ui.services import transform_preview as previews
from studio.ui.services.baseline import BaselineRunner
from studio.ui.services.thumbnails import THUMBNAIL_PIXELS, cached_thumbnail, render_thumbnail
from tests.data.bad_images import picture

COPY, LEFT, NONE = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def pets(make_images, tmp_path):
    """Six cats and four dogs."""
    make_images("set/cats", 6), make_images("set/dogs", 4)
    return tmp_path / "set"


def checked(window, qtbot):
    scan = window.workspace.images.scan
    return not scan.busy and (scan.checked or bool(scan.error))


def scanned(window, qtbot, path):
    window.data.use_images(path)
    return settled_page(window, qtbot)


def settled_page(window, qtbot):
    qtbot.waitUntil(lambda: checked(window, qtbot), timeout=30_000)
    return window.data


def counts(page):
    return {row.name: row.total for row in page.images_tab.classes.rows}


def kinds(page):
    return {card.issue.kind for card in page.issues_tab.cards}


def press(page, kind, words):
    """Press the button ``text`` of the issue."""
    card = next(card for card in page.issues_tab.cards if card.issue.kind == kind)
    next(one for one in card.buttons if one.text() == words).click()


def select(page, *rows):
    grid = page.images_tab.grid
    grid.clearSelection()
    for row in rows:
        grid.selectionModel().select(grid.images.index(row), grid.selectionModel().SelectionFlag.Select)


def test_at_first_the_page_offers_a_folder_and_the_sample_project(window):
    assert window.data.stack.currentIndex() == 0
    assert window.workspace.images.scan.path == ""
    assert window.data.banner.isHidden()


def test_a_folder_is_counted_and_shown(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    assert counts(page) == {"cats": 6, "dogs": 4}
    assert [row.counts for row in page.images_tab.classes.rows] == [(5, 1, 0), (3, 1, 0)]
    assert len(page.images_tab.grid.images.rows) == 10
    assert page.source_card.counts.text().startswith("10 images in 2 classes: ")
    assert page.issues_tab.banner.message == "All images are readable. No issues."
    assert window.workspace.recipe.data.path == str(pets)


NEAR = QPoint(9, 9)


def dropped(qapp, target, data, at=NEAR):
    qapp.sendEvent(target, QDragEnterEvent(at, COPY, data, LEFT, NONE))
    qapp.sendEvent(target, QDragMoveEvent(at, COPY, data, LEFT, NONE))
    qapp.sendEvent(target, QDropEvent(QPointF(at), COPY, data, LEFT, NONE))


def urls(path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    return data


def test_a_folder_can_be_dropped(window, pets, qapp):
    data = urls(pets)
    qapp.sendEvent(window.data.drop_zone, QDragEnterEvent(QPoint(9, 9), COPY, data, LEFT, NONE))
    assert window.data.drop_zone.property("over") is True
    dropped(qapp, window.data.drop_zone, data)
    assert window.workspace.recipe.data.path == str(pets)


def test_the_whole_window_accepts_images_and_recipes(window, pets, qapp, tmp_path):
    window.show_train()
    data = urls(pets)
    dropped(qapp, window, data)
    assert window.workspace.recipe.data.path == str(pets)
    assert window.pages.current_page is window.data
    window.workspace.recipe.save(tmp_path / "mine.toml")
    window.undo()
    data = urls(tmp_path / "mine.toml")
    dropped(qapp, window, data)
    assert window.workspace.document.path == tmp_path / "mine.toml"


@pytest.mark.parametrize("as_text", [True, False])
def test_a_path_can_be_pasted(window, pets, as_text):
    if as_text:
        QGuiApplication.clipboard().setText(f"  {pets}\n")
    else:
        QGuiApplication.clipboard().setMimeData(urls(pets))
    window.data.setFocus()
    window.data.chooser.paste()
    assert window.workspace.recipe.data.path == str(pets)


@pytest.mark.parametrize("form", ["zip", "gztar"])
def test_an_archive_is_chosen_like_a_folder(window, qtbot, pets, tmp_path, form):
    page = scanned(window, qtbot, Path(shutil.make_archive(str(tmp_path / "packed"), form, pets)))
    assert counts(page) == {"cats": 6, "dogs": 4}


def test_choosing_a_folder_can_be_undone(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    window.undo()
    assert page.stack.currentIndex() == 0
    assert window.workspace.images.scan.summary is None


def test_another_folder_starts_without_overrides(window, qtbot, pets, tmp_path):
    page = scanned(window, qtbot, pets)
    select(page, 0)
    page.images_tab.exclude()
    before = window.workspace.recipe.data
    page.use_images(tmp_path / "elsewhere")
    assert window.workspace.recipe.data == Data(path=str(tmp_path / "elsewhere"))
    window.undo()
    assert window.workspace.recipe.data == before


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ({}, "There is no folder"),
        ({"set/cats": 0}, "There are no images in"),
        ({"set/cats": 3}, "All images in"),
    ],
)
def test_an_unusable_folder_is_one_clear_sentence(window, qtbot, make_images, tmp_path, folders, sentence):
    for folder, count in folders.items():
        make_images(folder, count)
    page = scanned(window, qtbot, tmp_path / "set")
    assert page.banner.isVisible()
    assert page.banner.message.startswith(sentence)
    assert page.banner.message.count("\n") == 0
    assert not page.next_button.isEnabled()


def test_an_unreadable_image_is_named_and_the_rest_is_used(window, qtbot, pets):
    (pets / "dogs" / "broken.png").write_bytes(b"not an image")
    page = scanned(window, qtbot, pets)
    assert counts(page) == {"cats": 6, "dogs": 4}
    (card,) = page.issues_tab.cards
    assert "broken.png" in card.issue.text
    assert page.tabs.tabText(1) == "Issues (1)"


def test_checking_again_finds_new_images(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    picture(77).save(pets / "dogs" / "new.png")
    window.workspace.images.rescan()
    qtbot.waitUntil(lambda: counts(page) == {"cats": 6, "dogs": 5}, timeout=30_000)


def test_the_images_can_be_used_after_the_check_is_stopped(window, qtbot, pets, monkeypatch):
    images = window.workspace.images
    monkeypatch.setattr("studio.ui.services.image_scan._PROGRESS_SECONDS", 0.0)
    images.progressed.connect(lambda *given: images.stop())
    monkeypatch.setattr("studio.data.checks.read_all_metadata", slow_facts)
    window.data.use_images(pets)
    qtbot.waitUntil(lambda: images.scan.stopped, timeout=30_000)
    assert counts(window.data) == {"cats": 6, "dogs": 4}
    assert "check was stopped" in window.data.issues_tab.banner.message
    assert window.data.next_button.isEnabled()
    monkeypatch.undo()
    images.progressed.disconnect()
    images.rescan()
    assert not settled_page(window, qtbot).issues_tab.cards


def slow_facts(root, paths, progress):
    """Report progress forever."""
    while True:
        progress("check", 1, 10)
        QTest.qSleep(5)
        if not paths:
            yield


def test_progress_is_shown_with_a_button_to_stop(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    page.source_card.progress.show_progress("check", 1234, 10_000)
    assert page.source_card.progress.label.text() == "Checking images: 1,234 of 10,000"
    page.source_card.progress.show_progress("unpack", 5_000_000, 20_000_000)
    assert page.source_card.progress.label.text() == "Unpacking: 5 MB of 20 MB"
    assert page.source_card.progress.bar.value() == 250


# overrides


def test_selected_images_are_excluded_and_included_by_keyboard(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    select(page, 0, 3)
    QTest.keyClick(page.images_tab.grid, Qt.Key.Key_Delete)
    assert window.workspace.recipe.data.excluded == ("cats/000.png", "cats/003.png")
    settled_page(window, qtbot)
    assert counts(page) == {"cats": 4, "dogs": 4}
    page.images_tab.show_issue("excluded")
    assert len(page.images_tab.grid.images.rows) == 2
    select(page, 0)
    page.images_tab.include()
    settled_page(window, qtbot)
    assert counts(page) == {"cats": 5, "dogs": 4}
    window.undo(), window.undo()
    settled_page(window, qtbot)
    assert counts(page) == {"cats": 6, "dogs": 4}
    assert sorted(path.name for path in pets.rglob("*.png")) == sorted(
        [*(f"{n:03}.png" for n in (*range(6), *range(4)))]
    )


def test_a_drag_onto_a_class_relabels_in_the_recipe_only(window, qtbot, qapp, pets):
    page = scanned(window, qtbot, pets)
    classes = page.images_tab.classes
    data = page.images_tab.grid.images.mimeData(
        [page.images_tab.grid.images.index(1), page.images_tab.grid.images.index(2)]
    )
    assert json.loads(bytes(data.data(IMAGES_MIME).data())) == [1, 2]
    place = classes.visualRect(classes.model().index(2)).center()
    dropped(qapp, classes.viewport(), data, place)
    assert window.workspace.recipe.data.labels == {"cats/001.png": "dogs", "cats/002.png": "dogs"}
    settled_page(window, qtbot)
    assert counts(page) == {"cats": 4, "dogs": 6}
    assert (pets / "cats" / "001.png").exists()
    window.undo()
    settled_page(window, qtbot)
    assert counts(page) == {"cats": 6, "dogs": 4}


def test_a_drop_on_all_classes_does_nothing(window, qtbot, qapp, pets):
    page = scanned(window, qtbot, pets)
    classes = page.images_tab.classes
    data = page.images_tab.grid.images.mimeData([page.images_tab.grid.images.index(0)])
    dropped(qapp, classes.viewport(), data, classes.visualRect(classes.model().index(0)).center())
    assert not window.workspace.recipe.data.labels


def test_menus_relabel_and_move(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    select(page, 0)
    menu = page.images_tab.label_menu()
    assert [action.text() for action in menu.actions()] == ["cats", "dogs", "", "Another class…"]
    menu.actions()[1].trigger()
    settled_page(window, qtbot)
    assert window.workspace.recipe.data.labels == {"cats/000.png": "dogs"}
    select(page, 0)
    menu = page.images_tab.split_menu()
    assert [action.text() for action in menu.actions()] == ["Training", "Validation", "Test"]
    menu.actions()[2].trigger()
    settled_page(window, qtbot)
    assert list(window.workspace.recipe.data.split_overrides.values()) == ["test"]
    assert window.workspace.images.scan.summary.counts["test"] == 1


def test_images_are_moved_to_a_new_class(window, qtbot, pets, monkeypatch):
    page = scanned(window, qtbot, pets)
    monkeypatch.setattr("studio.ui.pages.data.images_tab.QInputDialog.getText", lambda *given: (" birds ", True))
    select(page, 0, 1)
    page.images_tab.label_menu().actions()[-1].trigger()
    settled_page(window, qtbot)
    assert counts(page) == {"birds": 2, "cats": 4, "dogs": 4}


def test_the_grid_is_filtered_by_class_and_issue(window, qtbot, pets):
    for name in ("one", "two"):
        picture(1).save(pets / "dogs" / f"{name}.png")
    page = scanned(window, qtbot, pets)
    page.images_tab.classes.select_class(0)
    assert {image.path.parent.name for image in page.images_tab.grid.images.rows} == {"cats"}
    page.images_tab.show_issue("duplicate")
    assert page.images_tab.classes.selected_label == ALL_CLASSES
    assert [image.path.name for image in page.images_tab.grid.images.rows] == ["one.png", "two.png"]
    assert page.images_tab.count_label.text() == "2 images"


def test_a_fix_is_applied_and_undone(window, qtbot, pets):
    for name in ("one", "two"):
        picture(1).save(pets / "dogs" / f"{name}.png")
    page = scanned(window, qtbot, pets)
    assert "duplicate" in kinds(page)
    press(page, "duplicate", "Use each once")
    settled_page(window, qtbot)
    assert window.workspace.recipe.data.excluded == ("dogs/two.png",)
    assert not kinds(page)
    window.undo()
    settled_page(window, qtbot)
    press(page, "duplicate", "Ignore")
    settled_page(window, qtbot)
    assert "duplicate" not in kinds(page)
    assert page.issues_tab.show_acknowledged_button.isVisibleTo(page.issues_tab)
    page.issues_tab.show_acknowledged_button.click()
    settled_page(window, qtbot)
    assert "duplicate" in kinds(page)


def test_copies_are_kept_on_one_side(window, qtbot, pets):
    for number in range(8):
        picture(1, 64 + number, 48).save(pets / "dogs" / f"copy{number}.png")
    page = scanned(window, qtbot, pets)
    press(page, "leakage", "Keep copies together")
    settled_page(window, qtbot)
    assert window.workspace.recipe.data.split.copies_together
    assert "leakage" not in kinds(page)


def test_an_issue_shows_its_images_in_the_grid(window, qtbot, pets):
    picture(1, 9_000, 40).save(pets / "dogs" / "long.png")
    page = scanned(window, qtbot, pets)
    page.tabs.setCurrentIndex(1)
    press(page, "elongated", "Show")
    assert page.tabs.currentIndex() == 0
    assert [image.path.name for image in page.images_tab.grid.images.rows] == ["long.png"]


def test_excluding_all_images_can_be_undone_on_the_page(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    page.images_tab.grid.selectAll()
    page.images_tab.exclude()
    settled_page(window, qtbot)
    assert page.stack.currentIndex() == 1
    assert "are excluded" in page.banner.message
    window.undo()
    settled_page(window, qtbot)
    assert counts(page) == {"cats": 6, "dogs": 4}


# split and augmentation


def test_the_split_form_shows_the_resulting_split(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    assert set(page.split_tab.form.fields) == {"validation", "seed", "copies_together", "group", "folds", "fold"}
    page.split_tab.form.fields["validation"].setValue(0.5)
    settled_page(window, qtbot)
    assert window.workspace.recipe.data.split.validation == 0.5
    assert page.split_tab.count_labels["validation"].text() == "5  ·  50 %"
    assert page.split_tab.split_bar.counts == (5, 5, 0)


def test_predefined_splits_disable_the_form(window, qtbot, make_images, tmp_path):
    for folder in ("set/train/a", "set/train/b", "set/val/a", "set/val/b"):
        make_images(folder, 2)
    page = scanned(window, qtbot, tmp_path / "set")
    assert not page.split_tab.form.isEnabled()
    assert "already define the split" in page.split_tab.banner.message


def test_a_preset_sets_the_sliders_and_a_slider_makes_it_custom(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    page.transforms_tab.preset.edited.emit("light")
    assert page.transforms_tab.sliders["rotation"].value == 8
    page.transforms_tab.sliders["rotation"].slider.setValue(30)
    page.transforms_tab.sliders["rotation"].slider.setValue(40)
    now = window.workspace.recipe.data.transforms
    assert (now.augmentation, now.rotation, now.brightness) == ("custom", 40.0, 0.12)
    window.undo()
    assert window.workspace.recipe.data.transforms.augmentation == "light"
    assert page.transforms_tab.sliders["rotation"].value == 8


def test_the_preview_is_what_training_and_validation_do(ready, qtbot, pets):
    page = scanned(ready, qtbot, pets)
    page.transforms_tab.preset.edited.emit("strong")
    ready.show_data()
    page.tabs.setCurrentIndex(3)
    qtbot.waitUntil(lambda: len(page.transforms_tab.view.preview.rows) == 4, timeout=30_000)
    from studio.data.images.decode import read_image
    from studio.data.transforms.augmentation import Augmentation

    shown, recipe = page.transforms_tab.view.preview, ready.workspace.recipe
    row, how = shown.rows[0], shown.preprocessing
    assert how.size == (32, 32)
    pixels = how.to_pixels(read_image(pets / "cats" / row.name))
    assert previews._to_qimage(pixels) == row.preprocessed
    strong = Augmentation.from_transforms(recipe.data.transforms)
    for epoch, image in enumerate(row.augmented):
        assert previews._to_qimage(strong.apply(pixels, recipe.training.seed, epoch, 0)) == image
    second = shown.rows[1]
    pixels = how.to_pixels(read_image(pets / "dogs" / second.name))
    assert previews._to_qimage(strong.apply(pixels, recipe.training.seed, 0, 1)) == second.augmented[0]
    assert "32 × 32 pixels" in page.transforms_tab.preprocessing_label.text()
    before = [row.name for row in shown.rows]
    page.transforms_tab.show_other_images()
    qtbot.waitUntil(lambda: page.transforms_tab.view.preview is not shown, timeout=30_000)
    assert [row.name for row in page.transforms_tab.view.preview.rows] != before


# the baseline


@pytest.fixture
def no_delay(monkeypatch):
    """Measure the baseline without a delay."""
    monkeypatch.setattr("studio.ui.services.baseline.DELAY_MS", 0)


def test_the_baseline_is_measured_automatically(no_delay, ready, qtbot, pets):
    page = scanned(ready, qtbot, pets)
    qtbot.waitUntil(lambda: ready.workspace.baseline.status.baseline is not None, timeout=60_000)
    found = ready.workspace.baseline.status.baseline
    assert (found.classes, found.images) == (2, 10)
    assert page.source_card.baseline.figure.text() == f"{found.accuracy * 100:.1f} %"
    assert page.source_card.baseline.isVisibleTo(page.source_card)


def test_the_baseline_of_a_large_backbone_is_measured_on_request(no_delay, ready, qtbot, pets, monkeypatch):
    monkeypatch.setattr("studio.ui.services.baseline._MAX_PARAMETERS", 10)
    monkeypatch.setattr("studio.ui.services.baseline.measure_baseline", lambda *given: Baseline(0.5, 2, 10, 1.0))
    page = scanned(ready, qtbot, pets)
    number: BaselineRunner = ready.workspace.baseline
    qtbot.waitUntil(lambda: number.status.on_request, timeout=30_000)
    assert page.source_card.baseline.button.text() == "Measure"
    page.source_card.baseline.button.click()
    qtbot.waitUntil(lambda: number.status.baseline is not None, timeout=30_000)
    assert page.source_card.baseline.figure.text() == "50.0 %"


def test_the_baseline_is_measured_again_only_for_relevant_changes(no_delay, ready, qtbot, pets, settled):
    scanned(ready, qtbot, pets)
    number = ready.workspace.baseline
    qtbot.waitUntil(lambda: number.status.baseline is not None, timeout=60_000)
    ready.workspace.set_value("training.epochs", 3)
    ready.workspace.set_value("data.transforms.augmentation", "light")
    settled(ready)
    assert number.status.baseline is not None
    ready.workspace.set_value("data.split.seed", 3)
    settled(ready)
    qtbot.waitUntil(lambda: number.status.busy, timeout=30_000)
    qtbot.waitUntil(lambda: number.status.baseline is not None, timeout=60_000)


# effects of the images


def test_the_sample_images_set_the_size_of_the_head(ready, qtbot):
    ready.data.use_sample()
    qtbot.waitUntil(lambda: ready.workspace.images.scan.summary is not None, timeout=30_000)
    assert len(ready.data.images_tab.classes.rows) == 10
    assert ready.data.source_card.source.text() == "Sample images: handwritten digits"
    assert ready.workspace.classes == 10


def test_a_folder_of_three_classes_gives_a_head_of_three_outputs(ready, qtbot, make_images, tmp_path):
    for name in "abc":
        make_images(f"set/{name}", 2)
    scanned(ready, qtbot, tmp_path / "set")
    qtbot.waitUntil(lambda: ready.workspace.engine.last_counts.classes == 3, timeout=30_000)
    assert ready.workspace.engine.last_counts.parameter_counts.head_parameters == 3 * 96 + 3


# thumbnails and models


def test_a_thumbnail_follows_the_exif_rotation(qapp, tmp_path):
    image = Image.new("RGB", (80, 40), "red")
    image.paste("blue", (0, 0, 40, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)
    small = render_thumbnail(tmp_path / "x.jpg", 20)
    assert (small.width(), small.height()) == (20, 20)
    assert small.pixelColor(10, 2).blue() > 200
    assert small.pixelColor(10, 17).red() > 200
    assert render_thumbnail(Path("missing.png"), 20).isNull()


def test_the_thumbnail_of_a_large_file_is_cached_until_the_file_changes(qapp, tmp_path, home, monkeypatch):
    path = tmp_path / "large.png"
    Image.effect_noise((400, 400), 90).save(path)
    first = cached_thumbnail(path)
    assert len(list(home.glob("cache/thumbnails/*.jpg"))) == 1
    with monkeypatch.context() as context:
        context.setattr("studio.ui.services.thumbnails.render_thumbnail", lambda *given: pytest.fail("made again"))
        again = cached_thumbnail(path)
    assert (again.width(), again.height()) == (first.width(), first.height()) == (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
    Image.new("RGB", (900, 900), "blue").save(path, compress_level=0)
    assert cached_thumbnail(path).pixelColor(9, 9).blue() > 200


def test_an_unreadable_image_is_read_once(window, qtbot, tmp_path):
    thumbnails = window.workspace.images.thumbnails
    missing = tmp_path / "missing.png"
    assert thumbnails.pixmap(missing) is None
    qtbot.waitUntil(lambda: thumbnails.pixmap(missing) is not None, timeout=10_000)
    assert thumbnails.pixmap(missing).isNull()


def test_qt_accepts_the_models(window, qtbot, pets, check_model):
    page = scanned(window, qtbot, pets)
    check_model(page.images_tab.grid.images)
    check_model(page.images_tab.classes.model())
    page.images_tab.classes.select_class(1)
    page.images_tab.classes.select_class(ALL_CLASSES)


def test_a_rebuilt_page_looks_like_the_old_one(window, qtbot, pets):
    for name in ("one", "two"):
        picture(1).save(pets / "dogs" / f"{name}.png")
    page = scanned(window, qtbot, pets)
    page.images_tab.show_issue("duplicate")
    select(page, 1)
    page.tabs.setCurrentIndex(2)
    rebuilt = DataPage(window.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.refresh()
    rebuilt.restore_view_state(page.view_state())
    assert rebuilt.tabs.currentIndex() == 2
    assert [image.path.name for image in rebuilt.images_tab.grid.images.rows] == ["one.png", "two.png"]
    assert [image.path.name for image in rebuilt.images_tab.grid.selected_images] == ["two.png"]
    assert rebuilt.view_state() == page.view_state()


def test_a_page_without_a_state_is_as_built(window, qtbot, pets):
    page = scanned(window, qtbot, pets)
    before = page.view_state()
    page.restore_view_state({})
    assert page.view_state() == before
