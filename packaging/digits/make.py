"""Write scikit-learn's handwritten digits as a folder of PNGs for each class.

    python packaging/digits/make.py --out resources/digits

The 1,797 images are 8x8 with 17 gray levels; they are written unchanged, scaled to 0..255.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

CARD = """# Handwritten digits

The test part of "Optical Recognition of Handwritten Digits": {count:,} images of 8x8 pixels, written by 13 people, as
scikit-learn ships it. One folder for each digit; the file name is the image's position in the original file.

| | |
|---|---|
| Source | E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49 |
| License | CC BY 4.0 |
| Changes | 17 gray levels scaled to 0..255, written as PNG by `packaging/digits/make.py` |
"""


def main() -> None:
    """Write the images and their card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("resources/digits"))
    out = parser.parse_args().out
    digits = load_digits()
    for index, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = out / str(digit)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(pixels * 255 / 16).astype(np.uint8)).save(folder / f"{index:04}.png", optimize=True)
    (out / "README.md").write_text(CARD.format(count=len(digits.target)))


if __name__ == "__main__":
    main()
