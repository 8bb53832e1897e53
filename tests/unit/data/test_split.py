"""Properties of the division into training and validation."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from studio.core.recipe import Split
from studio.data.split import held_out

Images = list[tuple[Path, int]]

images_strategy = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(
    lambda labels: [(Path(f"{label}/{number}.png"), label) for number, label in enumerate(labels)]
)
splits = st.builds(Split, validation=st.floats(0.01, 0.99), seed=st.integers(0, 2**31))


@given(images_strategy, splits)
def test_every_class_of_two_or_more_is_on_either_side(images: Images, split: Split) -> None:
    kept = held_out(images, split)
    for label in {label for _, label in images}:
        paths = {path for path, its in images if its == label}
        assert (0 < len(paths & kept) < len(paths)) == (len(paths) > 1)


@given(images_strategy, splits)
def test_the_fraction_holds_in_every_class(images: Images, split: Split) -> None:
    kept = held_out(images, split)
    for label in {label for _, label in images}:
        count = sum(its == label for _, its in images)
        assert abs(sum(its == label and path in kept for path, its in images) - split.validation * count) <= 1


@given(images_strategy, splits, st.randoms())
def test_the_order_of_the_files_does_not_matter(images: Images, split: Split, shuffler: object) -> None:
    mixed = list(images)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert held_out(mixed, split) == held_out(images, split)


def test_the_seed_matters() -> None:
    images = [(Path(f"a/{number}.png"), 0) for number in range(100)]
    first, second = (held_out(images, Split(seed=seed)) for seed in (0, 1))
    assert len(first) == len(second) == 20
    assert first != second


def test_one_more_image_moves_few_others() -> None:
    images = [(Path(f"a/{number}.png"), 0) for number in range(100)]
    assert len(held_out(images, Split()) ^ held_out([*images, (Path("a/new.png"), 0)], Split())) <= 2
