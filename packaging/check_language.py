"""Check the texts of the repository, or the message of a commit, against the style guide in CONTRIBUTING.

python packaging/check_language.py [FOLDER]
python packaging/check_language.py --message FILE

Texts are Markdown, TOML, the English of gettext catalogs, names of files and, in Python, names, comments and strings.
Code between backticks is left out, and so is a line that ends with ``# language: kept``, such as a key of older files.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

PHRASES = {
    r"no more": "no longer; at most",
    r"shall": "must, can or will",
    r"by heart": "overfitting",
    r"(?:go|goes|going|went|gone) on": "resume or continue; is attached to",
    r"so \w+ that": "so that; too … to; two sentences",
    r"numbers? to beat": "baseline",
    r"(?:take|takes|taking|took|taken) (?:[\w{}]+ ){0,2}off": "remove",
    r"oddit(?:y|ies)": "issue",
    r"findings": "issues",
    r"what makes it fit": "memory saving",
}
"""Pattern of a phrase, and the words to use."""

SPELLINGS = {
    r"artefact": "artifact",
    r"analys(?=ed?(?![a-z])|ing)": "analyz",
    r"behaviour": "behavior",
    r"catalogue": "catalog",
    r"centre(?=d)": "centere",
    r"centring": "centering",
    r"centre(?=s?(?![a-z]))": "center",
    r"colour": "color",
    r"favour": "favor",
    r"grey": "gray",
    r"honour": "honor",
    r"labell(?=ed|ing)": "label",
    r"licence": "license",
    r"modell(?=ed|ing)": "model",
    r"neighbour": "neighbor",
    r"(initial|maxim|minim|normal|optim|organ|parallel|quant|recogn|regular|serial|summar|synchron|visual)is"
    r"(?=e|ing|ation)": r"\1iz",
}
"""Beginning of a British spelling, anywhere in a name or a text, and of the American one."""

_PHRASES = "|".join(f"({pattern})" for pattern in PHRASES).replace(" ", r"\s+")
PHRASE = re.compile(rf"\b(?:{_PHRASES})\b", re.IGNORECASE)
SPELLING = re.compile(r"\b\w*(?:" + "|".join(SPELLINGS) + r")\w*", re.IGNORECASE)
OPENING = re.compile(
    r"(?:\A\W*|[.!:;]\s+[\"“(*_]*|\n\s*[-*] |= \")((?:What|Whatever|Where|Whoever)\b)(?=[^.?!]*(.))", re.DOTALL
)
"""First word of a sentence without a subject, and the mark at the sentence's end."""
CODE = re.compile(r"`[^`]*`|</?\w[^<>]*>")

ROOTS = ("README.md", "pyproject.toml", ".github", "packaging", "plugins", "resources", "studio", "tests")
EXEMPT = ("packaging/check_language.py", "tests/repository/test_check_language.py", "tests/data/")
KEPT = "# language: kept"

LONGEST_SUBJECT = 72
SUBJECT = re.compile(r"[a-z0-9_.-]+(?:, ?[a-z0-9_.-]+)*: (?P<first>\w\S*)(?: .*)?(?<!\.)")
WRITTEN_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")
NOT_A_VERB = re.compile(
    r"(?:the|an?|no|one|two|every|each|all|some|what|whatever|where|whoever|this|that|it|its|there)"
    r"|\w+(?<!r)(?<!p)ing|\w+(?<!e)(?<!b)(?<!h)ed|\w+(?<![sui])s",
    re.IGNORECASE,
)
"""First words that are no imperative; embed, feed, bring, ping, pass, focus and bias are."""


@dataclass(frozen=True)
class Text:
    """A text as a person reads it, with the first and last line that it stands in."""

    words: str
    line: int
    last: int | None = None
    is_name: bool = False

    def line_at(self, offset: int) -> int:
        """Return the line of a character."""
        line = self.line + self.words.count("\n", 0, offset)
        return line if self.last is None else min(line, self.last)


@dataclass(frozen=True, order=True)
class Issue:
    """A phrase that the guide rules out, and the words to use."""

    line: int
    phrase: str
    use: str


def issues_in(text: Text) -> Iterator[Issue]:
    """Return the issues of one text."""
    words = CODE.sub(lambda code: re.sub(r"[^\n]", "`", code[0]), text.words)
    for match in SPELLING.finditer(words):
        yield Issue(text.line_at(match.start()), match[0], _american(match[0]))
    if text.is_name:
        return
    for match in PHRASE.finditer(words):
        yield Issue(text.line_at(match.start()), " ".join(match[0].split()), _advice(match))
    for match in OPENING.finditer(words):
        if match[2] != "?":
            yield Issue(text.line_at(match.start(1)), match[1], "begin with the subject")


def _american(word: str) -> str:
    for british, american in SPELLINGS.items():
        word = re.sub(british, american, word.lower())
    return word


def _advice(match: re.Match[str]) -> str:
    return list(PHRASES.values())[(match.lastindex or 1) - 1]


def python_texts(source: str) -> Iterator[Text]:
    """Return the names, comments and strings of Python."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    names = (token for token in tokens if token.type == tokenize.NAME)
    yield from (Text(token.string, token.start[0], is_name=True) for token in names)
    yield from _comments([token for token in tokens if token.type == tokenize.COMMENT])
    yield from _strings(ast.parse(source))


def _comments(tokens: list[tokenize.TokenInfo]) -> Iterator[Text]:
    """Return comments, those on adjoining lines as one."""
    for _, run in groupby(enumerate(tokens), lambda pair: pair[1].start[0] - pair[0]):
        lines = [token for _, token in run]
        yield Text("\n".join(token.string.lstrip("#: ") for token in lines), lines[0].start[0])


def _strings(node: ast.AST) -> Iterator[Text]:
    """Return strings, with braces for each value that is put in."""
    if isinstance(node, ast.JoinedStr):
        words = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        yield Text(words, node.lineno, node.end_lineno)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield Text(node.value, node.lineno, node.end_lineno)
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _strings(child)


def markdown_texts(source: str) -> Iterator[Text]:
    """Return the paragraphs, list items and table cells of Markdown without its blocks of code."""
    prose = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE)
    start = 0
    for cut in re.finditer(r"\n(?=\s*\n|\s*(?:[-*#>]|\d+\.) )|\||\Z", prose):
        yield Text(prose[start : cut.start()].lstrip("\n"), _line_of(prose, start, cut.start()))
        start = cut.end()


def _line_of(source: str, start: int, end: int) -> int:
    part = source[start:end]
    return 1 + source.count("\n", 0, start) + len(part) - len(part.lstrip("\n"))


def line_texts(source: str) -> Iterator[Text]:
    """Return each line."""
    return (Text(line, number) for number, line in enumerate(source.splitlines(), 1))


def catalog_texts(source: str) -> Iterator[Text]:
    """Return the English of a gettext catalog."""
    for entry in re.finditer(r'^msgid(?:_plural)? ((?:".*"\s*)+)', source, re.MULTILINE):
        words = "".join(ast.literal_eval(line) for line in entry[1].splitlines() if line.strip())
        line = 1 + source.count("\n", 0, entry.start())
        yield Text(words, line, line + entry[1].rstrip().count("\n"))


READERS: dict[str, Callable[[str], Iterator[Text]]] = {
    ".md": markdown_texts,
    ".po": catalog_texts,
    ".pot": catalog_texts,
    ".py": python_texts,
    ".toml": line_texts,
}


def issues_of_file(path: Path, name: str) -> list[Issue]:
    """Return the issues of a file and of its name, by line."""
    source = path.read_text(encoding="utf-8")
    lines = [name, *source.splitlines()]
    texts = [Text(name, 0, is_name=True), *READERS[path.suffix](source)]
    found = {issue for text in texts for issue in issues_in(text)}
    return sorted(issue for issue in found if not lines[issue.line].rstrip().endswith(KEPT))


def files_below(folder: Path) -> Iterator[Path]:
    """Return the files to check."""
    for root in (folder / name for name in ROOTS):
        files = sorted(root.rglob("*")) if root.is_dir() else [root]
        yield from (path for path in files if path.is_file() and path.suffix in READERS)


def check_folder(folder: Path) -> list[str]:
    """Return a line for each issue of the repository in a folder."""
    names = {path: path.relative_to(folder).as_posix() for path in files_below(folder)}
    checked = {path: name for path, name in names.items() if not name.startswith(EXEMPT)}
    return [
        f"{name}:{issue.line or 1}: {issue.phrase}: {issue.use}"
        for path, name in checked.items()
        for issue in issues_of_file(path, name)
    ]


def check_message(message: str) -> list[str]:
    """Return a line for each issue of a commit's message."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = next(iter(lines), "")
    if subject.startswith(WRITTEN_BY_GIT):
        return []
    issues = sorted(set(issues_in(Text("\n".join(lines), 1))))
    return [*_check_subject(subject, lines), *(f"line {issue.line}: {issue.phrase}: {issue.use}" for issue in issues)]


def _check_subject(subject: str, lines: list[str]) -> Iterator[str]:
    shape = SUBJECT.fullmatch(subject)
    if shape is None:
        yield "line 1: write the subject as `area: imperative subject`, without a period"
    elif NOT_A_VERB.fullmatch(shape["first"]):
        yield f"line 1: {shape['first']}: begin with an imperative verb"
    if len(subject) > LONGEST_SUBJECT:
        yield f"line 1: {len(subject)} characters: write {LONGEST_SUBJECT} at most"
    if len(lines) > 1 and lines[1].strip():
        yield "line 2: leave a blank line after the subject"


def main(words: list[str] | None = None) -> int:
    """Print the issues; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--message", type=Path, help="a file with the message of a commit")
    given = parser.parse_args(words)
    message = given.message and given.message.read_text(encoding="utf-8")
    issues = check_folder(given.folder) if message is None else check_message(message)
    print("\n".join(issues), end="\n" if issues else "")
    return int(bool(issues))


if __name__ == "__main__":
    sys.exit(main())
