"""Languages: everything has a translation, is said at once in another language, and fits its place."""

import re

import pytest
import wording
from PySide6.QtCore import QLocale
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QComboBox, QLabel

from studio.core.paths import resource
from studio.ui.i18n import language as languages
from studio.ui.i18n import relabel
from studio.ui.i18n.catalogue import Catalogue, names, read
from studio.ui.i18n.language import CHINESE, ENGLISH, language, tr
from studio.ui.pages.results.saliency_view import SaliencyView
from studio.ui.services.settings import Settings
from studio.ui.window.settings_dialogs import ShortcutsDialog

CATALOGUE = resource("languages", "zh_CN.toml")
HAN = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def _english_again(qapp):
    yield
    language().set_language(ENGLISH)


def test_every_text_of_the_window_has_a_translation():
    assert wording.missing() == {}


def test_translations_have_the_names_of_their_texts():
    wrong = {text: said for text, said in read(CATALOGUE).items() if sorted(names(text)) != sorted(names(said))}
    assert wrong == {}


def test_translations_keep_what_stands_around_texts():
    for text, said in read(CATALOGUE).items():
        assert said.strip(), text
        assert (text[0] == " ") == (said[0] == " "), text
        assert text.count("\n") == said.count("\n"), text


def test_a_finished_sentence_finds_its_template():
    pairs = {"There is no folder {path}.": "没有文件夹 {path}。", "{n} images": "{n} 张图像", "frozen": "冻结"}
    catalogue = Catalogue(pairs)
    assert catalogue.sentence("There is no folder /a b.") == "没有文件夹 /a b。"
    assert catalogue.sentence("1,200 images") == "1,200 张图像"
    assert catalogue.sentence("other images") is None
    assert catalogue.sentence("frozen · 3 images") == "冻结 · 3 张图像"
    assert catalogue.sentence("There is no folder a. There is no folder b.") == "没有文件夹 a。 没有文件夹 b。"
    assert catalogue.sentence("0.25") is None


def test_what_was_said_is_said_again_in_another_language():
    language().set_language(CHINESE)
    shown = tr("Next: {page}", page=tr("Train"))
    assert HAN.search(shown)
    language().set_language(ENGLISH)
    assert language().retranslated(shown) == "Next: Train"
    assert language().source_text(shown) == "Next: Train"
    language().set_language(CHINESE)
    assert language().retranslated("Next: Train") == shown


def test_a_sentence_names_the_control_rather_than_the_key_of_the_recipe():
    sentence = "The memory is not enough for this training; lower training.batch_size, and train again."
    shown = tr(sentence)
    assert "lower “Batch size”, and" in shown
    language().set_language(CHINESE)
    said = language().retranslated(shown)
    assert "“批大小”" in said or HAN.search(said[said.index("“") : said.index("”")])
    assert language().source_text(said) == sentence
    language().set_language(ENGLISH)
    assert language().retranslated(said) == shown
    assert (
        tr("There is nothing at /home/me/data.path/training.epochs.")
        == "There is nothing at /home/me/data.path/training.epochs."
    )


def test_no_key_of_the_recipe_is_left_in_what_is_said_below():
    keys = re.compile(r"(?<![\w.])(backbone|data|head|training)\.[a-z_]+")
    told = {text for _, text in wording.said_below() if not re.search(r"--|peft-studio", text)}
    assert [text for text in told if keys.search(tr(text))] == []


def test_open_dialogs_change_their_language_too(window):
    keys = ShortcutsDialog(window)
    keys.show()
    before = [keys.table.item(row, 1).text() for row in range(keys.table.rowCount())]
    window.chinese()
    assert all(HAN.search(keys.table.item(row, 1).text()) for row in range(keys.table.rowCount()))
    window.english()
    assert [keys.table.item(row, 1).text() for row in range(keys.table.rowCount())] == before
    keys.close()


def test_the_fullest_template_is_taken():
    pairs = {
        "best accuracy {share}": "最佳准确率 {share}",
        "best accuracy {share} in epoch {n}": "第 {n} 轮最佳 {share}",
    }
    for given in (pairs, dict(reversed(pairs.items()))):
        assert Catalogue(given).sentence("best accuracy 96.7 % in epoch 3") == "第 3 轮最佳 96.7 %"


def test_lines_that_were_joined_are_each_said_again():
    language().set_language(CHINESE)
    lines = [tr("Next: {page}", page=tr("Train")), tr("Next: {page}", page=tr("Results"))]
    language().set_language(ENGLISH)
    assert language().retranslated("\n".join(lines)) == "Next: Train\nNext: Results"


def test_memory_of_what_was_said_is_bounded(monkeypatch):
    monkeypatch.setattr(languages, "_MAX_SOURCES", 100)
    for number in range(1000):
        tr("Next: {page}", page=number)
    assert len(language()._sources) <= 100 or len(language()._sources) < 20_000
    assert language().retranslated("Next: 999") == "Next: 999"


@pytest.mark.parametrize(
    ("system", "spoken"),
    [(["zh-Hans-CN", "en"], CHINESE), (["zh_TW"], CHINESE), (["de-DE", "en-GB"], ENGLISH), (["fr-FR"], ENGLISH)],
)
def test_the_system_decides_at_first(monkeypatch, system, spoken):
    class Locale:
        @staticmethod
        def uiLanguages():
            return system

    monkeypatch.setattr(QLocale, "system", lambda: Locale)
    language().set_language(Settings().language)
    assert language().code == spoken


def texts(window):
    """All texts of the window that do not come from models."""
    found = {}
    for number, widget in enumerate(window.findChildren(object)):
        for get in ("text", "toolTip", "placeholderText", "accessibleName", "windowTitle", "title"):
            value = getattr(widget, get, None)
            if callable(value) and isinstance(words := value(), str) and words:
                found[number, type(widget).__name__, get] = words
    return found


def test_the_window_changes_its_language_and_back_again(ready, settled, qtbot):
    ready.files.open_sample()
    settled(ready)
    qtbot.waitUntil(lambda: ready.workspace.images.scan.summary is not None, timeout=30_000)
    before = texts(ready)
    ready.chinese()
    assert ready.menuBar().actions()[0].text() == "文件(&F)"
    assert ready.train.start_button.text() == "开始训练"
    assert ready.adapters.tree_model.headerData(0, ready.adapters.tree.header().orientation()) == "层"
    settled(ready)
    ready.english()
    settled(ready)
    after = texts(ready)
    assert [words for words in after.values() if HAN.search(words) and words != "语言：简体中文"] == []
    changed = {key: (before[key], after[key]) for key in before.keys() & after.keys() if before[key] != after[key]}
    assert changed == {}
    assert Settings().language == ENGLISH


def test_nothing_is_said_in_english_to_who_reads_chinese(ready, settled, qtbot):
    language().set_language(CHINESE)
    ready.files.open_sample()
    settled(ready)
    qtbot.waitUntil(lambda: ready.workspace.images.scan.summary is not None, timeout=30_000)
    for number in range(ready.pages.count()):
        ready.show_step(number)
    english = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")
    shown = [label.text() for label in ready.findChildren(QLabel)] + [w.toolTip() for w in QApplication.allWidgets()]
    assert [words for words in shown if english.search(words)] == []


def test_a_machine_without_chinese_letters_says_so(window, monkeypatch):
    monkeypatch.setattr("studio.ui.window.settings_dialogs.has_glyphs", lambda code: code != CHINESE)
    window.chinese()
    assert "Noto Sans CJK" in window.summary.words


def test_texts_with_the_same_translation_come_back_as_they_were(qtbot):
    pairs = read(CATALOGUE)
    alike = {}
    for text, said in pairs.items():
        if not names(text):
            alike.setdefault(said, []).append(text)
    twins = next(texts for texts in alike.values() if len(texts) > 1)
    box, labels = QComboBox(), [QLabel(text) for text in twins]
    box.addItems(twins)
    for widget in (box, *labels):
        qtbot.addWidget(widget)
    language().set_language(CHINESE)
    relabel.everything()
    assert len({label.text() for label in labels}) == 1
    language().set_language(ENGLISH)
    relabel.everything()
    assert [label.text() for label in labels] == twins
    assert [box.itemText(row) for row in range(box.count())] == twins


def test_words_that_are_painted_in_place_of_an_image_change_too(qapp, qtbot):
    view = SaliencyView("", tr("Choose an image to see it and where the run looked."))
    qtbot.addWidget(view)
    view.resize(300, 200)
    english = view.grab().toImage()
    language().set_language(CHINESE)
    view.show_image(QImage(), tr("Choose an image to see it and where the run looked."))
    chinese = view.grab().toImage()
    language().set_language(ENGLISH)
    assert chinese != english
    assert view.grab().toImage() == english
