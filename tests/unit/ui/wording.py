"""Collects from the source what the window may have to say, for the test of the catalogue.

Run by hand, ``python tests/unit/ui/wording.py``, it prints what the catalogue lacks, ready to be translated.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
BELOW = ("core", "data", "backbones", "peft", "training", "evaluation", "export", "app")
UNSEEN = {
    "studio/app/sweep_report.py",
    "studio/core/terminal.py",
    "studio/export/card.py",
    "studio/export/sidecar_files.py",
    "studio/training/run_io/event_log.py",
}
"""Files whose sentences go to files and terminals, not to the window."""
SHOWN_FIELDS = {"label", "family", "summary", "description", "title", "not_scalable_reason", "add", "words", "reason"}
TABLES = {"columns", "labels", "words"}


def said_in_window() -> Iterator[tuple[str, str]]:
    """File and template of each text that a page passes to ``tr`` or keeps in a table to pass on."""
    for path in sorted((ROOT / "studio/ui").rglob("*.py")):
        if path.name in ("catalogue.py", "language.py", "theme.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in ("tr", "pluralize"):
                yield from ((_name(path), text) for text in _passed(node))
        yield from ((_name(path), text) for text in (*_tables(tree), *_templates(tree)))


def said_below() -> Iterator[tuple[str, str]]:
    """File and template of each sentence of the rooms below the window."""
    for room in BELOW:
        for path in sorted((ROOT / "studio" / room).rglob("*.py")):
            if _name(path) not in UNSEEN:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                yield from ((_name(path), text) for text in dict.fromkeys(_sentences(tree)))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.AttachmentName) else getattr(node.func, "attr", "")


def _passed(node: ast.Call) -> Iterator[str]:
    if _called(node) == "tr":
        yield from _choices(node.args[0]) if node.args else ()
        return
    nouns = [n.value for n in node.args[1:] if isinstance(n, ast.Constant)]
    if nouns:
        yield f"{{n}} {nouns[0]}"
        yield f"{{n}} {nouns[1] if len(nouns) > 1 else nouns[0] + 's'}"


def _choices(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may come to, as far as they stand in it."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from _choices(body)
            yield from _choices(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _choices(value)


def _templates(tree: ast.Module) -> Iterator[str]:
    """Texts with names in braces, wherever they stand: what is passed on to ``tr`` by a name."""
    joined = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        said = node.value if isinstance(node, ast.Constant) and id(node) not in joined else None
        if isinstance(said, str) and re.search(r"\{[a-z_]+\}", said) and re.search(r"[A-Za-z]{2,} ", said):
            yield said


def _tables(tree: ast.Module) -> Iterator[str]:
    """Texts in tables of modules and classes: with a capital or a space, which names of ours have not."""
    bodies = [tree.body, *(n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef))]
    for statement in (s for body in bodies for s in body if isinstance(s, ast.Assign | ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        name = getattr(targets[0], "id", "")
        if statement.value is None or not (name.lstrip("_").isupper() or name in TABLES):
            continue
        signs = {
            id(n.args[0]) for n in ast.walk(statement.value) if isinstance(n, ast.Call) and _called(n) == "ErrorAction"
        }
        for node in ast.walk(statement.value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _reads_as_text(node.value):
                yield from () if id(node) in signs else (node.value,)


def _reads_as_text(value: str) -> bool:
    return bool(re.match(r"[A-Z][a-z]|[A-Z] [a-z]|[a-z]+ [a-z]", value)) and not re.search(r"[<>*#/=_]|Ctrl", value)


class _Sentences(ast.NodeVisitor):
    """Finds the sentences of a module: constants, f-strings as templates, and what fields show."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and _is_sentence(node.value):
            self.found.append(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if _is_sentence(text := _template(node)):
            self.found.append(text)

    def visit_keyword(self, node: ast.keyword) -> None:
        self._field(node.arg or "", node.value)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._field(getattr(node.targets[0], "id", ""), node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._field(getattr(node.target, "id", ""), node.value)
        self.generic_visit(node)

    def _field(self, name: str, value: ast.expr | None) -> None:
        if name in SHOWN_FIELDS and isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.found.append(value.value)


def _sentences(tree: ast.Module) -> list[str]:
    visitor = _Sentences()
    visitor.visit(tree)
    return visitor.found


def _is_sentence(text: str) -> bool:
    return " " in text and bool(re.search(r"[.!?]$", text.strip())) and "\n" not in text.strip() and len(text) > 8


def _template(node: ast.JoinedStr) -> str:
    """An f-string as a template: ``{run.path}`` becomes ``{path}``."""
    seen: dict[str, str] = {}
    made = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            made += str(part.value).replace("{", "{{").replace("}", "}}")
            continue
        code, name = ast.unparse(part.value), _naming(part.value)
        while seen.get(name, code) != code:
            name += "2"
        seen[name] = code
        made += f"{{{name}}}"
    return made


def _naming(node: ast.expr) -> str:
    match node:
        case ast.AttachmentName(id=name) | ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Call(args=[first, *_]):
            return _naming(first)
        case ast.Call(func=func):
            return _naming(func)
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return _naming(value)
    return next((_naming(n) for n in ast.walk(node) if n is not node and isinstance(n, ast.AttachmentName)), "value")


def registered() -> Iterator[tuple[str, str]]:
    """Texts of the registries: methods with their fields, and exporters."""
    from studio.core.recipe import Recipe
    from studio.peft.contract import METHODS

    for method in METHODS:
        where = f"method {method.name}"
        yield from (
            (where, text) for text in (method.label, method.family, method.summary, method.not_mergeable_reason)
        )
        yield from ((where, text) for text in fields(method.Config))
    yield from (("recipe", text) for text in fields(Recipe))


def fields(model: type) -> Iterator[str]:
    """Titles, descriptions and choices of a model's fields, and of the models in it."""
    from typing import Literal, get_args, get_origin

    from pydantic import BaseModel

    for name, info in model.model_fields.items():
        kinds = [info.annotation, *get_args(info.annotation)]
        yield info.title or name.replace("_", " ").capitalize()
        yield (info.description or "").strip()
        for kind in kinds:
            if get_origin(kind) is Literal:
                yield from (str(choice).replace("_", " ") for choice in get_args(kind))
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from fields(kind)


def everything() -> dict[str, str]:
    """Each text with the first place that it comes from."""
    found: dict[str, str] = {}
    for where, text in (*said_in_window(), *said_below(), *registered()):
        if text and re.search(r"[A-Za-z]{2}", text):
            found.setdefault(text, where)
    return found


def missing() -> dict[str, str]:
    """What the catalogue has no translation for, with its place."""
    from studio.core.paths import resource
    from studio.ui.i18n.catalogue import Catalogue, names, read

    catalogue = Catalogue(read(resource("languages", "zh_CN.toml")))
    exact = {text for _, text in said_in_window()}
    return {
        text: where
        for text, where in everything().items()
        if catalogue.template(text) is None
        and (text in exact or not names(text) or catalogue.sentence(filled(text)) is None)
        and ("{}" not in text or catalogue.sentence(filled(text)) is None)
    }


def filled(template: str) -> str:
    """A template with something in its braces, as a sentence that was finished elsewhere."""
    from studio.ui.i18n.catalogue import names

    blanks = {name: _Blank(70 + n) for n, name in enumerate(names(template))}
    return template.format(**blanks) if blanks else template.replace("{}", "7")


class _Blank(str):
    """Goes where a number goes as well."""

    def __format__(self, form: str) -> str:
        return str(self)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    last = ""
    for text, where in missing().items():
        if where != last:
            print(f"# {where}")
        last = where
        print(repr(text))
