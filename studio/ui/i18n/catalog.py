"""Translation catalogs in the gettext format: the window's own and those of plugins."""

from gettext import GNUTranslations, NullTranslations
from importlib.metadata import EntryPoint, entry_points
from io import BytesIO
from logging import WARNING, getLogger
from pathlib import Path

from studio.core.paths import resource

DOMAIN = "peft-studio"
PLUGIN_GROUP = "peft_studio.locale"
"""Entry points of plugins: the name is the gettext domain, the object the folder with ``<language>/LC_MESSAGES``."""


def load_catalog(language: str) -> NullTranslations:
    """Return the translations into ``language``; the plugins' come after the window's own."""
    catalog = read_catalog(resource("locale"), language, DOMAIN)
    for entry in entry_points(group=PLUGIN_GROUP):
        catalog.add_fallback(_plugin_catalog(entry, language))
    return catalog


def read_catalog(folder: Path, language: str, domain: str) -> NullTranslations:
    """Return the catalog of ``domain`` below ``folder``; an empty one if there is none."""
    file = folder / language / "LC_MESSAGES" / domain
    source, compiled = file.with_name(f"{domain}.po"), file.with_name(f"{domain}.mo")
    if _is_newer(source, compiled) and (catalog := _compile(source)):
        return catalog
    if not compiled.is_file():
        return NullTranslations()
    with compiled.open("rb") as stream:
        return GNUTranslations(stream)


def _is_newer(source: Path, compiled: Path) -> bool:
    """Return whether a checkout holds translations that no build has compiled yet."""
    return source.is_file() and not (compiled.is_file() and compiled.stat().st_mtime >= source.stat().st_mtime)


def _compile(source: Path) -> NullTranslations | None:
    """Return the catalog in the text file ``source``; None where Babel, a tool of the developers, is missing."""
    try:
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po
    except ImportError:
        return None
    buffer = BytesIO()
    with source.open("rb") as stream:
        write_mo(buffer, read_po(stream))
    buffer.seek(0)
    return GNUTranslations(buffer)


def _plugin_catalog(entry: EntryPoint, language: str) -> NullTranslations:
    """Return a plugin's catalog; one that cannot be read leaves the plugin's texts in English."""
    try:
        return read_catalog(Path(entry.load()), language, entry.name)
    except Exception as error:
        getLogger("studio").log(WARNING, "The translations of the plugin %s cannot be read: %s", entry.name, error)
        return NullTranslations()
