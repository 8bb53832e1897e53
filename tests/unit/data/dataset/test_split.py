"""Properties of the training and validation split."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core.errors import StudioError
from studio.core.recipe import Recipe, Split
from studio.data.dataset.split import merge_groups, stratified_group_split

Images = list[tuple[Path, int]]

images_strategy = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(
    lambda labels: [(Path(f"{label}/{number}.png"), label) for number, label in enumerate(labels)]
)
splits = st.builds(Split, validation=st.floats(0.01, 0.99), seed=st.integers(0, 2**31))


@given(images_strategy, splits)
def test_each_class_of_two_or_more_is_in_both_splits(images: Images, split: Split) -> None:
    kept = stratified_group_split(images, split)
    for label in {label for _, label in images}:
        paths = {path for path, its in images if its == label}
        assert (0 < len(paths & kept) < len(paths)) == (len(paths) > 1)


@given(images_strategy, splits)
def test_the_fraction_holds_in_every_class(images: Images, split: Split) -> None:
    kept = stratified_group_split(images, split)
    for label in {label for _, label in images}:
        count = sum(its == label for _, its in images)
        assert abs(sum(its == label and path in kept for path, its in images) - split.validation * count) <= 1


@given(images_strategy, splits, st.randoms())
def test_the_order_of_the_files_does_not_matter(images: Images, split: Split, shuffler: object) -> None:
    mixed = list(images)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert stratified_group_split(mixed, split) == stratified_group_split(images, split)


def test_the_seed_matters() -> None:
    images = [(Path(f"a/{number}.png"), 0) for number in range(100)]
    first, second = (stratified_group_split(images, Split(seed=seed)) for seed in (0, 1))
    assert len(first) == len(second) == 20
    assert first != second


def test_one_more_image_moves_few_others() -> None:
    images = [(Path(f"a/{number}.png"), 0) for number in range(100)]
    assert (
        len(
            stratified_group_split(images, Split()) ^ stratified_group_split([*images, (Path("a/new.png"), 0)], Split())
        )
        <= 2
    )


@st.composite
def grouped_images(draw: st.DrawFn) -> tuple[Images, list[list[Path]]]:
    """Images, and groups of them that may overlap and may hold two classes."""
    images = draw(images_strategy)
    some = st.lists(st.sampled_from([path for path, _ in images]), max_size=5)
    return images, draw(st.lists(some, max_size=10))


@given(grouped_images(), splits)
def test_no_group_is_split(given_images: tuple[Images, list[list[Path]]], split: Split) -> None:
    images, groups = given_images
    kept = stratified_group_split(images, split, groups)
    assert all(len({path in kept for path in group}) <= 1 for group in groups)


@given(grouped_images(), splits)
def test_training_images_are_left_with_groups(given_images: tuple[Images, list[list[Path]]], split: Split) -> None:
    images, groups = given_images
    units = merge_groups([*groups, *([path] for path, _ in images)])
    kept = stratified_group_split(images, split, groups)
    assert len(kept) < len(images)
    assert kept or len(units) <= len({label for _, label in images})


@given(grouped_images(), splits, st.randoms())
def test_the_order_of_groups_does_not_matter(
    given_images: tuple[Images, list[list[Path]]], split: Split, shuffler: object
) -> None:
    images, groups = given_images
    mixed = [list(reversed(group)) for group in groups]
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert stratified_group_split(images, split, mixed) == stratified_group_split(images, split, groups)


@given(images_strategy, st.integers(1, 4), st.integers(0, 2**31))
def test_groups_of_one_class_approximate_the_fraction(images: Images, size: int, seed: int) -> None:
    one_class = [(path, 0) for path, _ in images]
    cut = [[path for path, _ in one_class[at : at + size]] for at in range(0, len(one_class), size)]
    kept = stratified_group_split(one_class, Split(validation=0.3, seed=seed), cut)
    if len(cut) > 1:
        assert abs(len(kept) - 0.3 * len(images)) <= size + 1


@given(grouped_images(), st.integers(2, 6), st.integers(0, 2**31))
def test_folds_are_disjoint_complete_and_split_no_group(
    given_images: tuple[Images, list[list[Path]]], folds: int, seed: int
) -> None:
    images, groups = given_images
    parts = [stratified_group_split(images, Split(seed=seed, folds=folds, fold=fold), groups) for fold in range(folds)]
    assert sum(len(part) for part in parts) == len(frozenset().union(*parts))
    assert all(len({path in part for path in group}) <= 1 for group in groups for part in parts)
    alone = {label for label in range(5) if sum(its == label for _, its in images) == 1}
    if not groups:
        assert frozenset().union(*parts) == {path for path, label in images if label not in alone}


@given(images_strategy, st.integers(2, 6), st.integers(0, 2**31))
def test_folds_of_a_class_have_equal_sizes(images: Images, folds: int, seed: int) -> None:
    parts = [stratified_group_split(images, Split(seed=seed, folds=folds, fold=fold)) for fold in range(folds)]
    for label in {label for _, label in images}:
        sizes = [sum(its == label and path in part for path, its in images) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert len({path for path, its in images if its == label} - parts[0]) > 0


@given(st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=12))
def test_merged_groups_are_disjoint_and_complete(numbers: list[list[int]]) -> None:
    groups = [[Path(str(number)) for number in group] for group in numbers]
    units = merge_groups(groups)
    assert sorted(path for unit in units for path in unit) == sorted({path for group in groups for path in group})
    assert all(sum(bool(set(group) & set(unit)) for unit in units) == bool(group) for group in groups)


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"fold": 1}, {"folds": 3, "fold": 3}])
def test_an_impossible_fold_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(StudioError) as caught:
        Recipe.from_mapping({"schema": 1, "data": {"split": wrong}})
    assert (caught.value.code, caught.value.message.values["key"]) == ("bad-value", "data.split")
