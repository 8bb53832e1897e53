"""Translation: templates are translated, values are not, and the catalogs are complete in form."""

import re
from gettext import NullTranslations
from importlib.metadata import EntryPoint

import pytest
from PySide6.QtCore import QLocale

from studio.core.messages import N_, N_n
from studio.ui.i18n import catalog
from studio.ui.i18n.language import CHINESE, ENGLISH, language, localized, tr, tr_n
from studio.ui.services.settings import Settings

HAN = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def chinese(qapp):
    language().set_language(CHINESE)
    yield
    language().set_language(ENGLISH)


def test_a_template_is_translated_and_its_values_are_filled_in(chinese):
    shown = tr("Next: {page}", page="Train")
    assert HAN.search(shown)
    assert shown.endswith("Train")


@pytest.mark.parametrize("value", ["Train", "adapter", "full", "Show all", "Start training", "{page}"])
def test_a_value_of_the_user_is_never_translated(chinese, value):
    assert value in tr("Next: {page}", page=value)
    assert value in localized(N_("Next: {page}", page=value))
    assert localized(value) == value


def test_a_value_that_is_a_message_is_translated_too(chinese):
    assert localized(N_("Next: {page}", page=N_("Train"))) == tr("Next: {page}", page=tr("Train"))
    assert tr("Next: {page}", page=N_("Train")) == tr("Next: {page}", page=tr("Train"))


def test_two_texts_with_one_translation_keep_their_own_english(chinese):
    both = N_("Class"), N_("Classes")
    assert len({localized(text) for text in both}) == 1
    language().set_language(ENGLISH)
    assert [localized(text) for text in both] == ["Class", "Classes"]


def test_plurals_follow_the_number(chinese):
    one, many = tr_n("{n} image", "{n} images", 1), tr_n("{n} image", "{n} images", 3)
    assert HAN.search(one)
    assert (one.replace("1", ""), localized(N_n("{n} image", "{n} images", 3))) == (many.replace("3", ""), many)
    language().set_language(ENGLISH)
    assert [tr_n("{n} image", "{n} images", n) for n in (1, 3)] == ["1 image", "3 images"]


def test_an_unknown_text_stays_english(chinese):
    assert tr("No catalog has {this}.", this="x") == "No catalog has x."
    assert tr("") == ""


@pytest.mark.parametrize(
    ("system", "spoken"),
    [(["zh-Hans-CN", "en"], CHINESE), (["zh_TW"], CHINESE), (["de-DE", "en-GB"], ENGLISH), (["fr-FR"], ENGLISH)],
)
def test_the_system_decides_at_first(qapp, monkeypatch, system, spoken):
    class Locale:
        @staticmethod
        def uiLanguages():
            return system

    monkeypatch.setattr(QLocale, "system", lambda: Locale)
    language().set_language(Settings().language)
    found = language().code
    language().set_language(ENGLISH)
    assert found == spoken


def write_catalog(folder, domain, text):
    file = folder / CHINESE / "LC_MESSAGES" / f"{domain}.po"
    file.parent.mkdir(parents=True)
    file.write_text(f'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n{text}\n', encoding="utf-8")
    return folder


def test_a_plugin_brings_a_catalog_of_its_own(qapp, monkeypatch, tmp_path):
    folder = write_catalog(tmp_path, "my-plugin", 'msgid "Spectral"\nmsgstr "谱"')
    entry = EntryPoint("my-plugin", "nowhere:locale", catalog.PLUGIN_GROUP)
    broken = EntryPoint("broken", "no_such_module:locale", catalog.PLUGIN_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: str(folder) if self.name == "my-plugin" else 1 / 0)
    monkeypatch.setattr(catalog, "entry_points", lambda group: [broken, entry] if group == catalog.PLUGIN_GROUP else [])
    language().set_language(CHINESE)
    shown = tr("Spectral"), tr("Train")
    language().set_language(ENGLISH)
    assert shown[0] == "谱"
    assert HAN.search(shown[1])


def test_a_newer_source_is_read_instead_of_the_compiled_catalog(tmp_path):
    folder = write_catalog(tmp_path, "x", 'msgid "Train"\nmsgstr "甲"')
    assert catalog.read_catalog(folder, CHINESE, "x").gettext("Train") == "甲"
    assert type(catalog.read_catalog(folder, CHINESE, "y")) is NullTranslations
