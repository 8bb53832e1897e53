"""Overrides of single images are applied in all reads, and can be undone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.core.errors import StudioError
from studio.core.recipe import Data, Recipe, Split, SplitName
from studio.data.checks import check, check_scan, fixes, scan_source
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index, dataset_for_split
from studio.data.dataset.index import DatasetIndex, index_source
from studio.data.dataset.overrides import spread_to_group
from studio.data.images.file_index import Issue
from studio.data.images.path_text import recipe_path
from studio.data.transforms.preprocessing import Preprocessing
from tests.data.bad_images import make, picture

MakeImages = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def data(tmp_path: Path, make_images: MakeImages) -> Data:
    make_images("images/a", 10), make_images("images/b", 10)
    return Data(path=str(tmp_path / "images"))


def _sides(summary: DatasetIndex) -> dict[str, str]:
    return {image.path.as_posix(): image.split for image in summary.images}


def _labels(summary: DatasetIndex) -> dict[str, str]:
    return {image.path.as_posix(): summary.classes[image.label] for image in summary.images}


def test_excluded_images_are_in_no_split(data: Data) -> None:
    chosen = data.model_copy(update={"excluded": ("a/003.png", "b/001.png")})
    for summary in (build_index(chosen), check(Path(data.path), chosen)):
        assert len(summary.images) == 18
        assert not {"a/003.png", "b/001.png"} & _sides(summary).keys()
        assert summary.excluded == (Path("a/003.png"), Path("b/001.png"))


def test_a_label_overrides_the_folder(data: Data) -> None:
    chosen = data.model_copy(update={"labels": {"a/003.png": "b", "a/004.png": "new"}})
    summary = build_index(chosen)
    assert summary.classes == ("a", "b", "new")
    assert (_labels(summary)["a/003.png"], _labels(summary)["a/004.png"]) == ("b", "new")
    assert summary.class_counts == (8, 11, 1)


def test_a_class_without_images_left_is_removed(data: Data, tmp_path: Path, make_images: MakeImages) -> None:
    make_images("images/c", 2)
    chosen = data.model_copy(update={"labels": {"c/000.png": "a", "c/001.png": "a"}})
    assert build_index(chosen).classes == ("a", "b")


def test_moving_an_image_moves_no_other(data: Data) -> None:
    before = _sides(build_index(data))
    moved = data.model_copy(
        update={"split_overrides": {"a/000.png": "test", "a/001.png": "validation", "b/000.png": "train"}}
    )
    after = _sides(build_index(moved))
    assert {path: side for path, side in after.items() if path not in moved.split_overrides} == {
        path: side for path, side in before.items() if path not in moved.split_overrides
    }
    assert {path: after[path] for path in moved.split_overrides} == moved.split_overrides
    assert len(dataset_for_split(build_index(moved), Preprocessing((8, 8)), "test")) == 1


def test_ready_made_splits_can_be_overridden(tmp_path: Path, make_images: MakeImages) -> None:
    for folder in ("train/a", "train/b", "val/a", "val/b"):
        make_images(folder, 3)
    chosen = Data(path=str(tmp_path), split_overrides={"val/a/000.png": "train"})
    assert build_index(chosen).counts == {"train": 7, "validation": 5, "test": 0}


def test_copies_follow_the_moved_image(data: Data) -> None:
    for name in ("one", "two"):
        picture(1).save(Path(data.path) / "a" / f"{name}.png")
    split = Split(copies_together=True)
    for side in ("train", "validation", "test"):
        sides = _sides(build_index(data.model_copy(update={"split": split, "split_overrides": {"a/two.png": side}})))
        assert sides["a/one.png"] == sides["a/two.png"] == side


def test_a_run_keeps_the_overrides(data: Data, tmp_path: Path) -> None:
    chosen = data.model_copy(
        update={"excluded": ("a/003.png",), "labels": {"a/004.png": "b"}, "split_overrides": {"a/005.png": "test"}}
    )
    split_manifest.write_split(build_index(chosen), tmp_path)
    again = split_manifest.images_of_run(tmp_path, data)
    assert set(again.images) == set(build_index(chosen).images)
    assert _labels(again)["a/004.png"] == "b"
    assert _sides(again)["a/005.png"] == "test"


def test_overrides_of_missing_images_are_an_issue_and_can_be_cleared(data: Data) -> None:
    chosen = data.model_copy(
        update={"excluded": ("a/x.png",), "labels": {"a/y.png": "b"}, "split_overrides": {"a/z.png": "test"}}
    )
    summary = check(Path(data.path), chosen)
    (issue,) = summary.issues
    assert issue.kind == "missing-choice"
    assert {file.as_posix() for file in issue.files} == {"a/x.png", "a/y.png", "a/z.png"}
    assert fixes.fixes_for(issue, chosen, split_by_recipe=True)[0].data == data


def test_excluding_all_images_is_an_error(data: Data) -> None:
    names = tuple(f"{c}/{n:03}.png" for c in "ab" for n in range(10))
    with pytest.raises(StudioError, match=r"are excluded\. Include some of them"):
        build_index(data.model_copy(update={"excluded": names}))
    with pytest.raises(StudioError, match="of one class, b"):
        build_index(data.model_copy(update={"excluded": names[:10]}))


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_unicode_can_be_excluded_and_saved(data: Data, tmp_path: Path) -> None:
    os.rename(Path(data.path) / "a" / "000.png", os.fsencode(Path(data.path) / "a") + b"/caf\xe9.png")
    strange = next(image.path for image in build_index(data).images if "caf" in image.path.name)
    chosen = fixes.exclude(data, [strange])
    Recipe(data=chosen).save(tmp_path / "recipe.toml")
    again = Recipe.load(tmp_path / "recipe.toml").data
    assert again == chosen
    assert build_index(again).excluded == (strange,)


def test_a_recipe_saves_all_overrides_and_an_older_one_opens(tmp_path: Path) -> None:
    data = Data(
        path="x",
        excluded=("a/1.png",),
        labels={"a/2.png": "b"},
        split_overrides={"a/3.png": "test"},
        acknowledged={"duplicate": "0123456789abcdef"},
    )
    recipe = Recipe(data=data)
    assert Recipe.loads(recipe.dumps()) == recipe
    assert hash(Recipe.loads(recipe.dumps()).data) == hash(data)
    assert Recipe.loads('schema = 1\n[data]\npath = "x"\n').data == Data(path="x")
    with pytest.raises(StudioError, match=r"data\.sides"):
        Recipe.loads('schema = 1\n[data.sides]\n"a/1.png" = "later"\n')


def test_each_issue_has_fixes_and_each_fix_ends_it(tmp_path: Path) -> None:
    root = make(tmp_path / "images")
    scan, data = scan_source(root), Data(path=str(root))
    for issue in check_scan(scan, data).issues:
        offered = fixes.fixes_for(issue, data, split_by_recipe=True)
        assert offered[-1].label == "Ignore"
        for fix in offered:
            after = check_scan(scan, fix.data)
            left = {recipe_path(file) for other in after.issues if other.kind == issue.kind for file in other.files}
            if fix.label == "Move to training":  # the copies are still copies, but on one side
                sides = _sides(after)
                used = [recipe_path(file) for file in issue.files if recipe_path(file) in sides]
                assert all(sides[name] == "train" for name in used)
            else:
                assert not left or left < {recipe_path(file) for file in issue.files}, (issue.kind, fix.label)
    assert {path.name for path in root.iterdir()} == {"cat", "dog", "bird", "void", "loose.png"}


@pytest.mark.parametrize("number", range(3))
def test_each_fix_of_leakage_ends_it(tmp_path: Path, make_images: MakeImages, number: int) -> None:
    make_images("a", 10), make_images("b", 10)
    for copy in range(6):
        picture(1, 64 + copy, 48).save(tmp_path / "a" / f"copy{copy}.png")
    data = Data(path=str(tmp_path))
    leak = next(issue for issue in check(tmp_path).issues if issue.kind == "leakage")
    assert len(leak.groups) == 1
    fix = fixes.fixes_for(leak, data, split_by_recipe=True)[number]
    assert "leakage" not in {issue.kind for issue in check(tmp_path, fix.data).issues}


def test_an_acknowledged_issue_is_hidden_until_its_files_change(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 6), make_images("b", 6)
    for name in ("one", "two"):
        picture(1).save(tmp_path / "a" / f"{name}.png")
    data = Data(path=str(tmp_path), split=Split(copies_together=True))
    (issue,) = check(tmp_path, data).issues
    kept = fixes.acknowledge(data, issue)
    assert check(tmp_path, kept).issues == ()
    assert check(tmp_path, kept).acknowledged == (issue,)
    picture(1).save(tmp_path / "a" / "three.png")
    assert [issue.kind for issue in check(tmp_path, kept).issues] == ["duplicate"]


paths = st.integers(0, 12).map(lambda number: Path(str(number)))
sides_of_some = st.dictionaries(paths, st.sampled_from(["train", "validation", "test"]), max_size=5)


@given(sides_of_some, st.lists(st.lists(paths, max_size=4), max_size=5))
def test_following_a_group_never_moves_an_overridden_image(
    sides: dict[Path, SplitName], groups: list[list[Path]]
) -> None:
    made = spread_to_group(sides, groups)
    assert made.items() >= sides.items()
    for group in groups:
        moved = {sides[path] for path in group if path in sides}
        if moved:
            assert all(path in made for path in group)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.data())
def test_all_overrides_are_applied(data: Data, chosen: st.DataObject) -> None:
    names = st.sampled_from([f"{c}/{n:03}.png" for c in "ab" for n in range(10)])
    given_data = data.model_copy(
        update={
            "excluded": tuple(chosen.draw(st.sets(names, max_size=4))),
            "labels": chosen.draw(st.dictionaries(names, st.sampled_from(["a", "b", "c"]), max_size=5)),
            "sides": chosen.draw(st.dictionaries(names, st.sampled_from(["train", "validation", "test"]), max_size=5)),
        }
    )
    summary = index_source(Path(data.path), given_data)
    found, labels = _sides(summary), _labels(summary)
    assert found.keys() == {f"{c}/{n:03}.png" for c in "ab" for n in range(10)} - set(given_data.excluded)
    assert all(labels[name] == given_data.labels.get(name, name[0]) for name in found)
    assert all(found[name] == side for name, side in given_data.split_overrides.items() if name in found)


def test_the_signature_of_an_issue_ignores_the_order_of_files() -> None:
    one = Issue("x", (Path("a"), Path("b")), "k")
    assert one.signature == Issue("y", (Path("b"), Path("a")), "k").signature
    assert one.signature != Issue("x", (Path("a"),), "k").signature
