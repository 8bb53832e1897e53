"""The language of the window: English is what the code says, other languages are gettext catalogs."""

from collections.abc import Mapping
from gettext import NullTranslations

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator, Signal
from PySide6.QtGui import QFontDatabase

from studio.core.messages import Message
from studio.ui.i18n.catalog import load_catalog

ENGLISH, CHINESE, SYSTEM = "en", "zh_CN", "system"
LANGUAGES = {ENGLISH: "English", CHINESE: "简体中文"}
"""The name of each language in itself."""


class Language(QObject):
    """The language in use. ``choice`` is "system" or one of :data:`LANGUAGES`; ``changed`` carries the new code."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.choice = self.code = ENGLISH
        self._catalog = NullTranslations()
        self._qt_translator = QTranslator(self)

    def set_language(self, choice: str) -> None:
        """Speak the language ``choice`` from now on; the window is built anew upon :attr:`changed`."""
        self.choice = choice
        code = choice if choice in LANGUAGES else system_language()
        if code == self.code:
            return
        self.code = code
        self._catalog = NullTranslations() if code == ENGLISH else load_catalog(code)
        self._install_qt_translator()
        self.changed.emit(code)

    def _install_qt_translator(self) -> None:
        """Use Qt's own translation for its texts, such as the buttons of questions."""
        if QCoreApplication.instance() is None:
            return
        folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
        QCoreApplication.removeTranslator(self._qt_translator)
        if self.code != ENGLISH and self._qt_translator.load(f"qtbase_{self.code}", folder):
            QCoreApplication.installTranslator(self._qt_translator)

    def translate(self, template: str, values: Mapping[str, object]) -> str:
        """Return the translation of ``template`` with ``values`` in its braces; without values braces are text."""
        return _fill(self._catalog.gettext(template) if template else "", values)

    def translate_plural(self, singular: str, plural: str, n: int, values: Mapping[str, object]) -> str:
        """Return the translation of ``singular`` or ``plural`` in the form that this language uses for ``n``."""
        return _fill(self._catalog.ngettext(singular, plural, n), {"n": n, **values})


def _fill(template: str, values: Mapping[str, object]) -> str:
    """Fill ``values`` in; one that is a :class:`Message` is translated, any other is the user's."""
    return template.format(**{name: _localized_value(value) for name, value in values.items()}) if values else template


def _localized_value(value: object) -> object:
    return localized(value) if isinstance(value, Message) else value


def system_language() -> str:
    """Return the first language of the system that the window speaks, else English."""
    for name in QLocale.system().uiLanguages():
        code = name.replace("-", "_")
        if code.startswith("zh"):
            return CHINESE
        if code.startswith("en"):
            return ENGLISH
    return ENGLISH


def has_glyphs(code: str) -> bool:
    """Return whether this machine has a typeface for a language."""
    return code != CHINESE or bool(QFontDatabase.families(QFontDatabase.WritingSystem.SimplifiedChinese))


_language: Language | None = None


def language() -> Language:
    """Return the window's language."""
    global _language
    if _language is None:
        _language = Language()
    return _language


def tr(template: str, /, **values: object) -> str:
    """Return the translation of ``template`` with ``values`` filled in; ``template`` must be a literal."""
    return language().translate(template, values)


def tr_n(singular: str, plural: str, n: int, /, **values: object) -> str:
    """Return the translation of ``singular`` if ``n`` is 1, else of ``plural``, with ``n`` and ``values`` filled in."""
    return language().translate_plural(singular, plural, n, values)


def localized(text: str) -> str:
    """Return the translation of a :class:`Message`; any other string is a value and stays as it is."""
    if not isinstance(text, Message):
        return text
    n = text.values.get("n")
    if text.plural and isinstance(n, int):
        return language().translate_plural(text.template, text.plural, n, text.values)
    return language().translate(text.template, text.values)
