"""The preprocessing script of exports equals the program's own bit for bit."""

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio.core.paths import resource
from studio.data.images.decode import read_image
from studio.data.transforms.preprocessing import Preprocessing

SETTINGS = {
    "square": Preprocessing(size=(32, 32), crop_pct=0.875),
    "wide": Preprocessing(size=(24, 40), crop_pct=0.9, interpolation="bilinear"),
    "squash": Preprocessing(size=(32, 32), crop_mode="squash", interpolation="lanczos"),
    "border": Preprocessing(size=(32, 32), crop_mode="border", mean=(0.5, 0.4, 0.3)),
    "whole": Preprocessing(size=(32, 32), crop_pct=1.0, std=(0.1, 0.2, 0.3)),
}


def pictures(folder: Path) -> list[Path]:
    """Create one image of each mode and shape that is handled differently."""
    draw = np.random.default_rng(0)

    def noise(*shape: int, high: int = 256, dtype: Any = np.uint8) -> Any:
        return draw.integers(0, high, shape).astype(dtype)

    Image.fromarray(noise(45, 30, 3)).save(folder / "tall.png")
    Image.fromarray(noise(20, 77, 3)).save(folder / "flat.png")
    Image.fromarray(noise(32, 32, 3)).save(folder / "exact.png")
    Image.fromarray(noise(5, 7, 3)).save(folder / "small.png")
    Image.fromarray(noise(40, 40)).save(folder / "gray.png")
    Image.fromarray(noise(40, 40, high=65_536, dtype=np.uint16)).save(folder / "deep.png")
    Image.fromarray(noise(40, 40, high=2000, dtype=np.int32)).save(folder / "deeper.tif")
    Image.fromarray(draw.random((40, 40)).astype(np.float32)).save(folder / "float.tif")
    Image.fromarray(noise(40, 50, 4)).save(folder / "alpha.png")
    Image.fromarray(noise(40, 50, 3)).quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(noise(40, 50, 4)).convert("CMYK").save(folder / "cmyk.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(noise(40, 50, 3)).save(folder / "turned.jpg", exif=turned)
    return sorted(path for path in folder.iterdir() if path.suffix in (".png", ".tif", ".jpg"))


@pytest.mark.parametrize("preprocessing", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_exported_preprocessing_equals_the_programs_own(preprocessing: Preprocessing, tmp_path: Path) -> None:
    shutil.copyfile(resource("export", "preprocess.py"), tmp_path / "preprocess.py")
    (tmp_path / "preprocessing.json").write_text(json.dumps(preprocessing.as_json()))
    paths = pictures(tmp_path)
    assert len(paths) == 12
    shipped = runpy.run_path(str(tmp_path / "preprocess.py"))["batch"](paths)
    own = torch.stack([preprocessing(read_image(path)) for path in paths]).numpy()
    for path, theirs, mine in zip(paths, shipped, own, strict=True):
        np.testing.assert_array_equal(theirs, mine, err_msg=path.name)
