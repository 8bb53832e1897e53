"""A damaged file gives an image or an error with its name, and checks continue."""

import io
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.data.images.decode import UnreadableImageError, read_image
from studio.data.images.image_metadata import read_metadata
from tests.data.bad_images import picture

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA")
few = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def _whole(form: str) -> bytes:
    file = io.BytesIO()
    picture(0, 40, 30).save(file, form)
    return file.getvalue()


def _is_read_or_refused(path: Path) -> None:
    facts = read_metadata(path)
    if facts.error_kind:
        assert not facts.thumbnail
        with pytest.raises(UnreadableImageError) as caught:
            read_image(path)
        assert (caught.value.path, caught.value.reason) == (path, facts.reason)
    else:
        assert facts.thumbnail
        assert read_image(path).mode == "RGB"


@few
@given(
    form=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4),
    keep=st.floats(0.1, 1),
)
def test_a_damaged_image(tmp_path: Path, form: str, changes: list[tuple[float, bytes]], keep: float) -> None:
    content = bytearray(_whole(form))
    for place, value in changes:
        at = int(place * len(content))
        content[at : at + len(value)] = value
    path = tmp_path / "image.png"
    path.write_bytes(content[: int(keep * len(content))])
    _is_read_or_refused(path)


@few
@given(
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"P6 "]), rest=st.binary()
)
def test_any_bytes(tmp_path: Path, start: bytes, rest: bytes) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(start + rest)
    _is_read_or_refused(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_image_of_each_format(tmp_path: Path, form: str) -> None:
    (tmp_path / "image.png").write_bytes(_whole(form))
    assert read_image(tmp_path / "image.png").size == (40, 30)
    assert not read_metadata(tmp_path / "image.png").error_kind
