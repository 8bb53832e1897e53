"""All kinds of sources give the same images."""

import gzip
import shutil
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from studio.core.errors import StudioError
from studio.core.recipe import Data, Split
from studio.data.checks import check
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index, dataset_for_split
from studio.data.dataset.index import index_source
from studio.data.images.decode import read_image
from studio.data.sources import idx
from studio.data.transforms.preprocessing import Preprocessing

MakeImages = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def folder(tmp_path: Path, make_images: MakeImages) -> Path:
    make_images("set/cat", 6), make_images("set/dog", 6)
    return tmp_path / "set"


@pytest.mark.parametrize(("form", "suffix"), [("zip", "zip"), ("tar", "tar"), ("gztar", "tar.gz"), ("xztar", "tar.xz")])
@pytest.mark.parametrize("inside", ["", "set"])
def test_an_archive_gives_what_its_folder_gives(
    tmp_path: Path, folder: Path, form: str, suffix: str, inside: str
) -> None:
    shutil.make_archive(str(tmp_path / "packed"), form, tmp_path if inside else folder, inside or None)
    packed = index_source(tmp_path / f"packed.{suffix}")
    assert packed.images == index_source(folder).images
    assert packed.classes == ("cat", "dog")
    assert all(read_image(packed.path / image.path) == read_image(folder / image.path) for image in packed.images)
    assert check(tmp_path / f"packed.{suffix}").images == packed.images


def test_an_archive_is_extracted_once_and_again_after_a_change(tmp_path: Path, folder: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    first = index_source(packed).path
    (first / "cat" / "mark.txt").write_text("still there")
    assert index_source(packed).path == first
    assert (first / "cat" / "mark.txt").exists()
    with zipfile.ZipFile(packed, "a") as archive:
        archive.write(folder / "cat" / "000.png", "cat/one_more.png")
    assert index_source(packed).class_counts == (7, 6)


def test_a_run_finds_its_images_again_after_the_cache_was_emptied(tmp_path: Path, folder: Path) -> None:
    data = Data(path=shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    summary = build_index(data)
    split_manifest.write_split(summary, tmp_path)
    shutil.rmtree(summary.path)
    again = split_manifest.images_of_run(tmp_path, data)
    assert again.path == summary.path
    assert set(again.images) == set(summary.images)
    assert all((again.path / image.path).is_file() for image in again.images)


def test_errors_name_the_archive_and_not_the_cache(tmp_path: Path, folder: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert index_source(Path(packed)).as_json()["path"] == packed
    with pytest.raises(StudioError, match=r"There are no test images in .*packed\.zip: it has 10 for training"):
        dataset_for_split(build_index(Data(path=packed)), Preprocessing(), "test")
    shutil.rmtree(folder / "dog")
    one = shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path, "set")
    with pytest.raises(StudioError, match=r"one\.zip are of one class, cat"):
        index_source(Path(one))


def _write_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_list_names_images_classes_and_splits(tmp_path: Path, folder: Path) -> None:
    rows = [
        f"set/{name}/{n:03}.png,{name},{('train', 'val', 'test')[n % 3]}" for name in ("cat", "dog") for n in range(6)
    ]
    found = index_source(_write_list(tmp_path / "list.csv", "Path,Label,Split", *rows))
    assert found.classes == ("cat", "dog")
    assert found.counts == {"train": 4, "validation": 4, "test": 4}
    assert {i.path for i in found.in_split("test")} == {
        Path(f"set/{c}/{n:03}.png") for c in ("cat", "dog") for n in (2, 5)
    }
    assert not found.issues


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_list_may_come_from_a_spreadsheet(tmp_path: Path, folder: Path, separator: str, start: str) -> None:
    rows = [("path", "label"), *((f"set/{c}/{n:03}.png", f"the {c}") for c in ("cat", "dog") for n in range(6))]
    written = _write_list(tmp_path / "list.csv", start + separator.join(rows[0]), *map(separator.join, rows[1:]))
    assert index_source(written).classes == ("the cat", "the dog")


def test_the_images_of_a_group_stay_in_one_split(tmp_path: Path, folder: Path) -> None:
    rows = [f"set/{c}/{n:03}.png,{c},{c}-patient-{n // 2}" for c in ("cat", "dog") for n in range(6)]
    written = _write_list(tmp_path / "list.csv", "path,label,group", *rows)
    for seed in range(10):
        found = index_source(written, Data(split=Split(seed=seed)))
        sides = {(image.path.parent, int(image.path.stem) // 2, image.split) for image in found.images}
        assert len(sides) == 6
        assert found.counts["validation"] == 4


def test_incomplete_rows_and_missing_files_of_a_list_are_issues(tmp_path: Path, folder: Path) -> None:
    rows = [f"set/{c}/{n:03}.png,{c}" for c in ("cat", "dog") for n in range(6)]
    found = check(
        _write_list(tmp_path / "list.csv", "path,label", *rows, ",cat", "set/x.png", "set/gone.png,cat", rows[0])
    )
    assert {f.kind: (f.text, f.files) for f in found.issues} == {
        "incomplete-row": ("2 rows without a path or a label are ignored (the first in line 14).", ()),
        "vanished": (
            "set/gone.png cannot be read (the file does not exist) and is ignored.",
            (Path("set/gone.png"),),
        ),
    }


def _write_parquet(target: Path, /, **columns: list[object]) -> Path:
    parquet.write_table(pyarrow.table(columns), target)
    return target


def test_a_parquet_list_equals_a_csv_list(tmp_path: Path, folder: Path) -> None:
    names = [f"set/{c}/{n:03}.png" for c in ("cat", "dog") for n in range(6)]
    labels = ["cat"] * 6 + ["dog"] * 6
    splits = ["train", "val", "test"] * 4
    groups = [f"{label}{n // 2}" for n, label in enumerate(labels)]
    rows = ["path,label,split,group", *(",".join(row) for row in zip(names, labels, splits, groups, strict=True))]
    csv = index_source(_write_list(tmp_path / "list.csv", *rows))
    given = {"Path": names, "label": labels, "Split": splits, "group": groups, "extra": list(range(12))}
    for suffix in ("parquet", "pq"):
        found = index_source(_write_parquet(tmp_path / f"list.{suffix}", **given))
        assert (found.images, found.classes, found.issues) == (csv.images, csv.classes, ())


def test_numbers_as_labels_and_rows_without_one(tmp_path: Path, folder: Path) -> None:
    names = [f"set/{c}/{n:03}.png" for c in ("cat", "dog") for n in range(6)]
    found = index_source(_write_parquet(tmp_path / "list.parquet", path=names, label=[1] * 6 + [2] * 5 + [None]))
    assert found.classes == ("1", "2")
    assert [issue.text for issue in found.issues] == ["1 row without a path or a label is ignored (line 12)."]


def test_a_wrong_or_damaged_parquet_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="must name the columns path and label"):
        index_source(_write_parquet(tmp_path / "list.parquet", file=["a"], label=["b"]))
    (tmp_path / "list.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(StudioError, match=r"The list .* cannot be read"):
        index_source(tmp_path / "list.parquet")


def test_a_parquet_list_without_pyarrow_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write_parquet(tmp_path / "list.parquet", path=["a"], label=["b"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StudioError, match=r"Install peft-studio\[parquet\], or save the list as CSV"):
        index_source(path)


@pytest.mark.parametrize(
    ("rows", "expected_text"),
    [
        (["file,label", "a.png,a"], "must name the columns path and label"),
        ([""], "must name the columns"),
        (["path,label,split", "a.png,a,later"], "Line 2 of .* has an unknown split: 'later'"),
        (["path,label", "a.png,a", "a.png,b"], "lists a.png twice .* in lines 2 and 3"),
        (["path,label"], "There are no images"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, rows: list[str], expected_text: str) -> None:
    with pytest.raises(StudioError, match=expected_text):
        index_source(_write_list(tmp_path / "list.csv", *rows))


def test_a_list_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("path,label\ncaf\xe9.png,a\n".encode("latin-1"))
    with pytest.raises(StudioError, match="Save it as CSV in UTF-8"):
        index_source(tmp_path / "list.csv")


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mnist"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 6)):
        images = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 2).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(images)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(_idx(labels))
    return folder


def test_idx_files_become_images(idx_folder: Path) -> None:
    found = index_source(idx_folder)
    assert found.classes == ("0", "1")
    assert found.counts == {"train": 16, "validation": 4, "test": 6}
    first = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert (np.asarray(read_image(found.path / "train" / "1" / "000007.png"))[..., 0] == first[7]).all()


def test_idx_files_are_found_where_torchvision_keeps_them(tmp_path: Path, idx_folder: Path) -> None:
    inside = tmp_path / "root" / "MNIST"
    inside.mkdir(parents=True)
    idx_folder.rename(inside / "raw")
    for path in (tmp_path / "root", inside, inside / "raw"):
        assert index_source(path).counts == {"train": 16, "validation": 4, "test": 6}
    shutil.copytree(inside, tmp_path / "root" / "KMNIST")
    with pytest.raises(StudioError, match=r"several data sets: KMNIST, MNIST\. Choose"):
        index_source(tmp_path / "root")


def test_idx_files_report_progress(idx_folder: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    check(idx_folder, progress=lambda *given: calls.append(given))
    assert calls[:20] == [("unpack", done, 20) for done in range(1, 21)]
    assert calls[-1] == ("check", 26, 26)


FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist(tmp_path: Path) -> None:
    labels = idx.read_idx(FASHION / "train-labels-idx1-ubyte.gz", 1)
    assert np.bincount(labels).tolist() == [6_000] * 10
    assert idx.read_idx(FASHION / "train-images-idx3-ubyte.gz", 3).shape == (60_000, 28, 28)
    folder = tmp_path / "fashion"
    folder.mkdir()
    for part in ("images-idx3", "labels-idx1"):  # the smaller part stands for the larger one, to be quick
        (folder / f"train-{part}-ubyte.gz").symlink_to(FASHION / f"t10k-{part}-ubyte.gz")
    found = index_source(folder)
    assert found.classes == tuple("0123456789")
    assert found.counts == {"train": 8_000, "validation": 2_000, "test": 0}
    assert found.class_splits[3] == (800, 200, 0)


@pytest.mark.parametrize(
    "content", [b"", _idx(np.zeros(3, np.uint8)), _idx(np.zeros(20, np.uint8))[:-1], b"\0\0\x0d\1"]
)
def test_damaged_idx_files_are_refused_and_leave_nothing(idx_folder: Path, content: bytes) -> None:
    (idx_folder / "train-labels-idx1-ubyte").write_bytes(content)
    for _ in range(2):
        with pytest.raises(StudioError) as caught:
            index_source(idx_folder)
        assert caught.value.code == "damaged-source"


def test_labels_without_images_are_an_error(idx_folder: Path) -> None:
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(StudioError, match="has no matching images or labels"):
        index_source(idx_folder)


@pytest.mark.parametrize("names", [("data_batch_1", "batches.meta"), ("train", "test", "meta")])
def test_pickles_are_refused_and_never_opened(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "cifar"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(StudioError, match="can run any code"):
        index_source(folder)
    folder.rename(tmp_path / "cifar-100-python")
    with pytest.raises(StudioError, match="can run any code"):
        index_source(tmp_path)
    (tmp_path / "cifar-100-python").rename(folder)
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")
    with pytest.raises(StudioError, match="can run any code"):
        index_source(tmp_path / "cifar.tar.gz")


@pytest.mark.parametrize("around", ["photos", "photos/of 2024"])
def test_a_folder_wrapped_in_one_more_is_found(tmp_path: Path, make_images: MakeImages, around: str) -> None:
    make_images(f"set/{around}/cat", 3), make_images(f"set/{around}/dog", 3)
    (tmp_path / "set" / "read me.txt").write_text("mine")
    summary = index_source(tmp_path / "set")
    assert summary.classes == ("cat", "dog")
    assert summary.path == tmp_path / "set" / around


def test_ready_made_splits_wrapped_in_one_more_are_found(tmp_path: Path, make_images: MakeImages) -> None:
    for place in ("train/cat", "train/dog", "val/cat", "val/dog"):
        make_images(f"set/photos/{place}", 1)
    assert index_source(tmp_path / "set").counts == {"train": 2, "validation": 2, "test": 0}


def test_one_class_with_folders_beside_its_images_is_one_class(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("set/cat", 1), make_images("set/cat/old", 1)
    with pytest.raises(StudioError, match="of one class, cat"):
        index_source(tmp_path / "set")


def test_images_outside_class_folders_have_their_own_error(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("set", 2)
    with pytest.raises(StudioError, match="are in no class folders"):
        index_source(tmp_path / "set")
