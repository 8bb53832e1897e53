"""Extract the texts of the window, update the catalogs with them, compile and check the catalogs.

``python packaging/translations.py update`` after texts have changed, ``check`` in ``make check``.
"""

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "resources" / "locale"
DOMAIN = "peft-studio"
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "tr": None,
    "N_": None,
    "tr_n": (1, 2),
    "N_n": (1, 2),
    "StudioError": (2,),
    "UnreadableImageError": (2,),
    "CancelledError": (2,),
}
METHODS = [("cli/**.py", "ignore"), ("testing/**.py", "ignore"), ("**.py", "python")]
"""The command line speaks English only."""
DATA_TEXTS = {"presets": ("label", "summary")}
"""Folders of ``resources`` with TOML files, and the keys of the texts in them that the window shows."""


def extract() -> Catalog:
    """Return all texts that the window can show, with the files that they come from."""
    catalog = Catalog(project=DOMAIN, charset="utf-8")
    with redirect_stderr(StringIO()):  # Babel warns of f-strings: the check below names them with their lines
        found = list(extract_from_dir(ROOT / "studio", METHODS, keywords=KEYWORDS))
    for file, _, text, _, _ in found:
        if any(text) if isinstance(text, tuple) else text:
            catalog.add(text, locations=[(f"studio/{file}", 1)])
    for folder, keys in DATA_TEXTS.items():
        for path in sorted((ROOT / "resources" / folder).glob("*.toml")):
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            for key in keys:
                catalog.add(values[key], locations=[(path.relative_to(ROOT).as_posix(), 1)])
    return catalog


def catalogs() -> Iterator[Path]:
    """Yield the catalog of each language."""
    yield from sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def read(path: Path) -> Catalog:
    """Return the catalog in ``path``."""
    with path.open("rb") as stream:
        return read_po(stream, locale=path.parents[1].name)


def write(path: Path, catalog: Catalog) -> None:
    """Write ``catalog`` to ``path`` in the order of its texts, without line numbers, so that diffs stay small."""
    with path.open("wb") as stream:
        write_po(stream, catalog, width=0, sort_output=True, include_lineno=False, omit_header=False)


def update(path: Path, texts: Catalog) -> None:
    """Add the texts that ``path`` lacks, without a translation, and remove those that are no longer in the source."""
    catalog = read(path)
    catalog.update(texts, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    write(path, catalog)


def compile_catalog(path: Path) -> None:
    """Write the compiled catalog beside ``path``."""
    with path.with_suffix(".mo").open("wb") as stream:
        write_mo(stream, read(path))


def problems(path: Path, texts: Catalog) -> Iterator[str]:
    """Yield what is wrong with the catalog in ``path``: missing, dead or fuzzy entries, and other placeholders."""
    catalog = read(path)
    for message in texts:
        known = catalog.get(message.id)
        if message.id and (known is None or not all(_strings(known.string))):
            yield f"missing: {message.id!r}"
    for message in catalog:
        if message.id and texts.get(message.id) is None:
            yield f"dead: {message.id!r}"
        if message.id and message.fuzzy:
            yield f"fuzzy: {message.id!r}"
        if message.id and (wrong := _wrong_placeholders(message)):
            yield f"placeholders: {message.id!r} → {wrong!r}"
    yield from (f"dead: {entry!r}" for entry in catalog.obsolete)


def non_literals() -> Iterator[str]:
    """Yield the calls that no extraction can follow: ``tr`` of anything but a literal, f-strings as templates."""
    for path in sorted((ROOT / "studio").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _is_wrong(node):
                yield f"not a literal: {path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:80]}"


def _is_wrong(call: ast.Call) -> bool:
    name = getattr(call.func, "id", "")
    if name in ("tr", "tr_n"):
        return not all(isinstance(text, ast.Constant) for text in call.args[: 1 if name == "tr" else 2])
    return name in KEYWORDS and any(isinstance(text, ast.JoinedStr) for text in call.args[:2])


def _strings(strings: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (strings,) if isinstance(strings, str) else tuple(strings)


def _wrong_placeholders(message: Message) -> str:
    """Return a translation whose placeholders are not those of the text; empty if there is none."""
    expected = set().union(*map(_placeholders, _strings(message.id)))
    found = (text for text in _strings(message.string) if text and _placeholders(text) != expected)
    return next(found, "")


def _placeholders(text: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(text) if name}
    except ValueError:  # braces that are text, as in a pattern of layers
        return set()


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 1 if the check finds something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("update", "compile", "check"))
    verb = parser.parse_args(arguments).verb
    texts = extract() if verb != "compile" else Catalog()
    found: list[str] = []
    for path in catalogs():
        if verb == "update":
            update(path, texts)
        if verb == "check":
            found += problems(path, texts)
        else:
            compile_catalog(path)
    if verb == "check":
        found += non_literals()
    print("\n".join(found) or f"{len(texts)} texts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
