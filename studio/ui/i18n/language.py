"""The language of the window's texts: English is what the code says, the others are catalogues of translations."""

from threading import Lock

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator, Signal
from PySide6.QtGui import QFontDatabase

from studio.core.messages import Message
from studio.core.paths import resource
from studio.ui.i18n import catalogue
from studio.ui.i18n.catalogue import Catalogue
from studio.ui.i18n.control_names import with_control_names

ENGLISH, CHINESE, SYSTEM = "en", "zh_CN", "system"
LANGUAGES = {ENGLISH: "English", CHINESE: "简体中文"}
"""Each language's name in itself."""
_MAX_SOURCES = 20_000


class Language(QObject):
    """The language in use. ``choice`` is "system" or one of :data:`LANGUAGES`; ``changed`` carries the new code."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.choice = self.code = ENGLISH
        self._catalog = Catalogue({})
        self._sources: dict[str, tuple[str, dict[str, object]]] = {}
        self._lock = Lock()
        self._qt = QTranslator(self)

    def set_language(self, choice: str) -> None:
        """Speak the language ``choice`` from now on; whoever shows texts hears of it through :attr:`changed`."""
        self.choice = choice
        code = system_language() if choice not in LANGUAGES else choice
        if code == self.code:
            return
        self.code = code
        self._install_qt_translator()
        self._catalog = Catalogue({} if code == ENGLISH else catalogue.read(resource("languages", f"{code}.toml")))
        self.changed.emit(code)

    def _install_qt_translator(self) -> None:
        """Qt's own texts, such as the buttons of questions, come with Qt."""
        if QCoreApplication.instance() is None:
            return
        folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
        QCoreApplication.removeTranslator(self._qt)
        if self.code != ENGLISH and self._qt.load(f"qtbase_{self.code}", folder):
            QCoreApplication.installTranslator(self._qt)

    def translate(self, text: str, values: dict[str, object]) -> str:
        """``text`` in this language with ``values`` in its braces; ``text`` itself where no translation is known."""
        if values:
            template = self._catalog.template(text)
            said = (text if template is None else template).format(**values)
        else:
            said = text if self.code == ENGLISH else self._catalog.sentence(text) or text
            said = with_control_names(said, lambda title: self._catalog.template(title) or title)
        if said != text:
            self._remember(said, text, values)
        return said

    def retranslated(self, shown: str) -> str:
        """What ``shown``, a text said earlier in whatever language, is in this one."""
        source = self._sources.get(shown)
        if source is None:
            lines = shown.split("\n")
            return self.translate(shown, {}) if len(lines) == 1 else "\n".join(map(self.retranslated, lines))
        text, values = source
        return self.translate(
            text, {name: self.retranslated(v) if isinstance(v, str) else v for name, v in values.items()}
        )

    def source_text(self, shown: str) -> str:
        """The English of ``shown``, a text said earlier in whatever language."""
        text, values = self._sources.get(shown, (shown, {}))
        known = {name: self.source_text(value) if isinstance(value, str) else value for name, value in values.items()}
        return text.format(**known) if known else text

    def _remember(self, said: str, text: str, values: dict[str, object]) -> None:
        with self._lock:
            if said not in self._sources and len(self._sources) >= _MAX_SOURCES:
                for old in list(self._sources)[: _MAX_SOURCES // 4]:
                    del self._sources[old]
            self._sources[said] = (text, values)


def system_language() -> str:
    """The first language of the system that the window speaks; English where it speaks none of them."""
    for name in QLocale.system().uiLanguages():
        code = name.replace("-", "_")
        if code.startswith("zh"):
            return CHINESE
        if code.startswith("en"):
            return ENGLISH
    return ENGLISH


def has_glyphs(code: str) -> bool:
    """Whether this machine has letters for a language."""
    return code != CHINESE or bool(QFontDatabase.families(QFontDatabase.WritingSystem.SimplifiedChinese))


_language: Language | None = None


def language() -> Language:
    """The window's language."""
    global _language
    if _language is None:
        _language = Language()
    return _language


def tr(text: str, **values: object) -> str:
    """``text`` in the language of the window, with ``values`` in its braces.

    A sentence that was finished elsewhere (an error, a finding) is translated by the template that it fits.
    """
    return language().translate(text, values)


def tr_n(singular: str, plural: str, n: int, **values: object) -> str:
    """Return the translation of ``singular`` if ``n`` is 1, else of ``plural``, with ``n`` and ``values`` filled in."""
    return tr(singular if n == 1 else plural, n=n, **values)


def localized(text: str) -> str:
    """Return the translation of a :class:`Message`; any other string is a value and stays as it is."""
    if not isinstance(text, Message):
        return text
    values = {name: localized(v) if isinstance(v, str) else v for name, v in text.values.items()}
    return tr(text.plural if text.plural and values.get("n") != 1 else text.template, **values)
