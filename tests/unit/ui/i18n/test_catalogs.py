"""The catalogs in the repository: no missing, dead or fuzzy entry, and the placeholders of both languages agree."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[4] / "packaging"))
import translations


@pytest.fixture(scope="module")
def texts():
    return translations.extract()


@pytest.mark.parametrize("path", list(translations.catalogs()), ids=lambda path: path.parents[1].name)
def test_a_catalog_matches_the_texts_of_the_code(texts, path):
    assert list(translations.problems(path, texts)) == []


def test_every_text_is_a_literal_that_can_be_extracted():
    assert list(translations.non_literals()) == []


def test_problems_are_found(tmp_path, texts):
    (path,) = translations.catalogs()
    wrong = translations.read(path)
    wrong["Next: {page}"].string = "下一步：{seite}"
    del wrong["Undo"]
    wrong.add("No text of the code", string="没有")
    copy = tmp_path / "zh_CN" / "LC_MESSAGES" / path.name
    copy.parent.mkdir(parents=True)
    translations.write(copy, wrong)
    found = set(translations.problems(copy, texts)) - set(translations.problems(path, texts))
    assert {problem.partition(":")[0] for problem in found} == {"missing", "dead", "placeholders"}
    translations.update(copy, texts)
    left = {problem.partition(":")[0] for problem in translations.problems(copy, texts)}
    assert left <= {"missing", "placeholders"}
