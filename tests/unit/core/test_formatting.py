"""Numbers for people."""

import pytest

from studio.core.formatting import format_bytes, format_count, format_duration, format_short_count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (950, "950 B"), (12_000, "12 kB"), (12_340, "12.3 kB"), (340e6, "340 MB"), (999.6e6, "1 GB"),
     (1.25e9, "1.2 GB"), (2.5e12, "2500 GB")],
)  # fmt: skip
def test_bytes(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_counts() -> None:
    assert format_count(1_234_567) == "1,234,567"
    counts = (500, 1000, 12_345, 340e6, 1.1e9, 0.5)
    assert list(map(format_short_count, counts)) == ["500", "1k", "12.3k", "340M", "1.1B", "0.5"]


def test_durations_are_messages() -> None:
    assert list(map(format_duration, (8.6, 200, 7500, -1))) == ["9 s", "3 min 20 s", "2 h 5 min", "0 s"]
    assert format_duration(200).template == "{minutes} min {seconds} s"
