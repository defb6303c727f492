"""VOC 2012 and SBD, in miniature archives of their own formats: found, fetched, completed, counted."""

import hashlib
import re
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import snapshot
from PIL import Image
from scipy.io import savemat

from sscnb.commands.cli import main
from sscnb.datasets import coco, open_dataset, voc
from sscnb.datasets.palette import save_mask, voc_palette
from sscnb.datasets.voc import prepare_voc
from sscnb.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
TRAIN, VAL = ["2007_000001", "2007_000002"], ["2007_000003"]
# SBD's lists are not VOC's: its train has an image of VOC's val, its val one of VOC's train.
SBD = {"train": ["2008_000001", "2007_000003", "2008_000002"], "val": ["2007_000001", "2008_000003"]}
ONLY_SBD = ["2008_000001", "2008_000002", "2008_000003"]
EXPECTED = {"train": 2, "val": 1, "train_aug": 5, "test": 1}
HEIGHT, WIDTH = 12, 16


def mask_of(image_id: str, index: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 2 : 4 + int(image_id[-1])] = index
    return mask


def write_voc(folder: Path) -> Path:
    """Write the development kit's folder: masks of VOC hold class 15, with a border of 255."""
    ids = [*TRAIN, *VAL, *ONLY_SBD]
    for part in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    for image_id in ids:
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(folder / f"JPEGImages/{image_id}.jpg")
        objects = "".join(
            f"<object><name>{name}</name><part><name>head</name></part></object>"
            for name in (["person", "dog", "person"] if image_id in (*TRAIN, *VAL) else ["boat"])
        )
        (folder / f"Annotations/{image_id}.xml").write_text(f"<annotation>{objects}</annotation>")
    for image_id in (*TRAIN, *VAL):
        mask = mask_of(image_id, 15)
        mask[2] = 255
        save_mask(folder / f"SegmentationClass/{image_id}.png", mask)
    (folder / "ImageSets/Segmentation/train.txt").write_text("\n".join(TRAIN) + "\n")
    (folder / "ImageSets/Segmentation/val.txt").write_text("\n".join(VAL) + "\n")
    return folder


def write_sbd(folder: Path) -> Path:
    """Write SBD's folder: masks of class 4, MATLAB structures as its authors' files hold them."""
    (folder / "cls").mkdir(parents=True)
    for split, ids in SBD.items():
        (folder / f"{split}.txt").write_text("\n".join(ids) + "\n")
        for image_id in ids:
            boundaries = np.empty((20, 1), object)
            boundaries[:] = [[np.zeros((HEIGHT, WIDTH), bool)] for _ in range(20)]
            structure = {
                "Boundaries": boundaries,
                "Segmentation": mask_of(image_id, 4),
                "CategoriesPresent": np.array([[4]], np.uint8),
            }
            savemat(folder / f"cls/{image_id}.mat", {"GTcls": structure}, do_compression=True)
    return folder


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder with VOCdevkit/VOC2012 and benchmark_RELEASE/dataset, as the archives unpack."""
    write_voc(tmp_path / "VOCdevkit/VOC2012")
    write_sbd(tmp_path / "benchmark_RELEASE/dataset")
    return tmp_path


def prepare(root: Path, **named) -> Path:
    return prepare_voc(root, **{"expected": EXPECTED, "workers": 1, **named})


def refusal(root: Path, **named) -> str:
    with pytest.raises(UserError) as caught:
        prepare(root, **named)
    return str(caught.value)


def test_masks_lists_and_labels(root, capsys):
    folder = prepare(root)
    assert folder == root / "VOCdevkit/VOC2012"
    dataset = open_dataset(folder)
    # Both sets, without VOC's val though SBD trains on it.
    assert dataset.ids("train_aug") == [*TRAIN, *ONLY_SBD]
    assert dataset.mask_folder == "SegmentationClassAug"
    for image_id in ONLY_SBD:
        assert (dataset.mask(image_id) == mask_of(image_id, 4)).all()
    with Image.open(dataset.mask_path("2008_000001")) as picture:
        assert picture.mode == "P" and picture.getpalette()[: 3 * 21] == voc_palette()[: 3 * 21]
    assert (folder / "labels.csv").read_text().splitlines()[:2] == ["id,classes", "2007_000001,dog;person"]
    assert dataset.class_names("2008_000003") == ("boat",)
    said = capsys.readouterr().out
    assert "train 2" in said and "train_aug 5" in said and "no split test" in said


def test_vocs_own_masks_win_and_are_links(root):
    folder = prepare(root)
    for image_id in (*TRAIN, *VAL):
        path = folder / f"SegmentationClassAug/{image_id}.png"
        assert path.is_symlink() and path.samefile(folder / f"SegmentationClass/{image_id}.png")
        assert set(np.unique(open_dataset(folder).mask(image_id))) == {0, 15, 255}
    moved = folder.rename(root / "moved")  # relative links survive that
    assert (moved / f"SegmentationClassAug/{TRAIN[0]}.png").is_file()


def test_the_second_time_nothing_is_written_and_sbd_not_needed(root):
    folder = prepare(root)
    before = snapshot(folder)
    times = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    shutil.rmtree(root / "benchmark_RELEASE")
    assert prepare(root) == folder and prepare(folder) == folder
    assert snapshot(folder) == before and {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == times


def test_an_interrupted_conversion_goes_on(root, monkeypatch):
    convert, done = voc.convert_mask, []

    def interrupted(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job[2].name)
        return convert(job)

    monkeypatch.setattr(voc, "convert_mask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(root)
    folder = root / "VOCdevkit/VOC2012"
    half = open_dataset(folder)
    assert half.splits == ["train", "val"] and half.mask_folder == "SegmentationClass" and half.has_masks("val")
    assert len(list((folder / ".SegmentationClassAug.partial").glob("2008*.png"))) == 2

    def counted(job):
        done.append(job[2].name)
        return convert(job)

    monkeypatch.setattr(voc, "convert_mask", counted)
    prepare(root)
    assert sorted(done) == [f"{image_id}.png" for image_id in ONLY_SBD]  # each once, over both calls
    assert open_dataset(folder).has_masks("train_aug") and not (folder / ".SegmentationClassAug.partial").exists()


def test_several_processes_write_the_same(root, tmp_path):
    alone = snapshot(prepare(root) / "SegmentationClassAug")
    shutil.rmtree(root / "VOCdevkit/VOC2012/SegmentationClassAug")
    assert snapshot(prepare(root, workers=2) / "SegmentationClassAug") == alone


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "said"), [("train", "split train"), ("val", "split val"), ("train_aug", "SBD")])
def test_a_count_that_is_not_the_releases(root, split, said):
    expected = {**EXPECTED, split: 7000}
    text = refusal(root, expected=expected)
    assert said in text and f"{EXPECTED[split]} found, 7,000 in the release" in text and "--partial" in text
    assert not (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt").exists()


def test_a_part_goes_through_with_notes(root, capsys):
    folder = prepare(root, expected=voc.COUNTS, partial=True)
    said = capsys.readouterr().out
    assert "note: split train: 2 found, 1,464 in the release" in said and "10,582" in said
    assert open_dataset(folder).has_masks("train_aug")


def test_a_list_that_was_cut_off_later(root):
    listing = prepare(root) / "ImageSets/Segmentation/train_aug.txt"
    listing.write_text("2007_000001\n")
    text = refusal(root)
    assert str(listing) in text and "1 found, 5" in text


def test_a_sample_with_val_alone(root, capsys):
    folder = root / "VOCdevkit/VOC2012"
    (folder / "ImageSets/Segmentation/train.txt").unlink()
    shutil.rmtree(root / "benchmark_RELEASE")
    assert "no split 'train'" in refusal(root)
    prepare(root, partial=True)
    assert "train_aug is left out" in capsys.readouterr().out
    assert open_dataset(folder).splits == ["val"]


@pytest.mark.parametrize("part", ["JPEGImages", "Annotations", "SegmentationClass"])
def test_a_missing_file_is_named(root, part):
    path = next((root / "VOCdevkit/VOC2012" / part).glob(f"{TRAIN[1]}.*"))
    path.unlink()
    text = refusal(root)
    assert str(path) in text and "1 missing" in text


def test_a_missing_image_or_annotation_of_sbds(root):
    folder = root / "VOCdevkit/VOC2012"
    annotation, image = folder / "Annotations/2008_000002.xml", folder / "JPEGImages/2008_000002.jpg"
    annotation.unlink()
    assert str(annotation) in refusal(root) and not (folder / "labels.csv").exists()
    shutil.rmtree(folder / "SegmentationClassAug")
    image.unlink()
    assert str(image) in refusal(root)


@pytest.mark.parametrize("length", [0, 60, 200, -20])
def test_a_truncated_mat_is_named_and_the_others_are_converted(root, length):
    path = root / "benchmark_RELEASE/dataset/cls/2008_000002.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    text = refusal(root)
    assert str(path) in text and "1 of 3 failed" in text and "2008_000001" not in text
    folder = root / "VOCdevkit/VOC2012"
    assert len(list((folder / ".SegmentationClassAug.partial").glob("2008*.png"))) == 2
    assert open_dataset(folder).splits == ["train", "val"]
    path.write_bytes(whole)
    prepare(root)
    assert open_dataset(folder).has_masks("train_aug")


def test_a_mat_of_another_size_class_or_content(root):
    cls = root / "benchmark_RELEASE/dataset/cls"
    savemat(cls / "2008_000001.mat", {"GTcls": {"Segmentation": np.zeros((5, 6), np.uint8)}})
    savemat(cls / "2008_000002.mat", {"GTcls": {"Segmentation": np.full((HEIGHT, WIDTH), 21, np.uint8)}})
    savemat(cls / "2008_000003.mat", {"GTinst": {"Segmentation": np.zeros((HEIGHT, WIDTH), np.uint8)}})
    text = refusal(root)
    assert "3 of 3 failed" in text
    assert f"{cls / '2008_000001.mat'} is 6x5 pixels" in text and f"{cls / '2008_000002.mat'} holds class 21" in text
    assert f"{cls / '2008_000003.mat'} cannot be read" in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"GTcls": 3}, "cannot be read"),
        ({"GTcls": {"Segmentation": "text"}}, "no mask of SBD"),
        ({"GTcls": {"Segmentation": np.zeros((HEIGHT, WIDTH))}}, "holds float64 of shape (12, 16)"),
        ({"GTcls": {"Segmentation": np.zeros((HEIGHT, WIDTH, 3), np.uint8)}}, "of shape (12, 16, 3)"),
        ({"GTcls": {"Segmentation": np.array([[{"a": 1}]], object)}}, "no mask of SBD"),
        ({"GTcls": {"Segmentation": np.full((HEIGHT, WIDTH), -1, np.int16)}}, "holds class -1"),
    ],
)
def test_a_mat_of_a_wrong_type(root, content, expected):
    path = root / "benchmark_RELEASE/dataset/cls/2008_000001.mat"
    savemat(path, content)
    text = refusal(root)
    assert str(path) in text and expected in text and "1 of 3 failed" in text


@pytest.mark.parametrize("line", ["../../x", "/etc/passwd", "a\\b"])
def test_a_list_of_sbds_that_leads_elsewhere(root, line):
    before = snapshot(root)
    path = root / "benchmark_RELEASE/dataset/val.txt"
    with path.open("a") as file:
        file.write(line + "\n")
    text = refusal(root)
    assert f"{path}, line 3" in text and "no name of an image" in text
    assert snapshot(root) == before | {str(path.relative_to(root)): path.read_bytes()}


def test_a_list_of_sbds_that_is_no_text(root):
    path = root / "benchmark_RELEASE/dataset/val.txt"
    path.write_bytes("2008_000003\n".encode("utf-16"))
    assert f"{path} is not UTF-8" in refusal(root)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("kind", ["cut", "empty", "blank", "class", "size", "jpeg"])
def test_a_mask_that_broke_is_found_before_the_folder_is_called_ready(root, own, kind, capsys):
    folder = prepare(root)
    name = TRAIN[1] if own else ONLY_SBD[1]
    path = folder / ("SegmentationClass" if own else "SegmentationClassAug") / f"{name}.png"
    whole, mask = path.read_bytes(), np.zeros((HEIGHT, WIDTH), np.uint8)
    if kind in ("cut", "empty"):
        path.write_bytes(whole[:60] if kind == "cut" else b"")
    elif kind == "jpeg":
        Image.fromarray(mask).save(path, "JPEG")
    else:
        save_mask(path, {"blank": mask, "class": mask + 21, "size": mask[:-1] + 1}[kind])
    capsys.readouterr()
    text = refusal(root)
    assert f"SegmentationClassAug/{name}.png" in text and "1 of 6 masks" in text
    assert "ready" not in capsys.readouterr().out
    if kind == "blank":  # of a part that is meant to be one, a note
        prepare(root, partial=True)
        assert f"note: 1 masks show no class, such as {folder}" in capsys.readouterr().out
    if own:  # the cure
        path.write_bytes(whole)
    else:
        path.unlink()
    assert prepare(root) == folder


def test_what_a_file_manager_left_among_the_annotations(root):
    (root / "VOCdevkit/VOC2012/Annotations/._2007_000001.xml").write_bytes(b"\0\5\x16\7")
    assert "2007_000001,dog" in (prepare(root) / "labels.csv").read_text()


def test_a_missing_mat(root):
    path = root / "benchmark_RELEASE/dataset/cls/2008_000003.mat"
    path.unlink()
    assert f"{path} is missing" in refusal(root)


def test_no_voc_and_no_sbd(tmp_path, root):
    assert "VOCtrainval_11-May-2012.tar" in refusal(tmp_path / "nothing") and "--download" in refusal(tmp_path / "no")
    shutil.move(root / "benchmark_RELEASE/dataset", root / "elsewhere")
    text = refusal(root)
    assert "--sbd" in text and str(root) in text
    assert str(root / "not") in refusal(root, sbd=root / "not")
    prepare(root, sbd=root / "elsewhere")


def test_a_row_that_is_missing_in_labels(root):
    (root / "VOCdevkit/VOC2012/labels.csv").write_text("id,classes\n2007_000001,dog\n")
    text = refusal(root)
    assert "no row for id '2007_000002'" in text and "delete" in text


def test_the_test_split_is_checked_where_it_is(root):
    folder = root / "VOCdevkit/VOC2012"
    (folder / "ImageSets/Segmentation/test.txt").write_text("2008_000009\n")
    (folder / "Annotations/2008_000009.xml").write_text("<annotation></annotation>")  # without objects
    image = folder / "JPEGImages/2008_000009.jpg"
    assert str(image) in refusal(root)
    Image.new("RGB", (WIDTH, HEIGHT)).save(image)
    prepare(root)
    assert "2008_000009" not in (folder / "labels.csv").read_text()
    assert "split test: 1 found, 1,456" in refusal(root, expected={**EXPECTED, "test": 1456})


# --- download, from archives that this process serves ---------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def archives(root, tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """The two archives where torchvision looks for them; yields an empty folder to download into."""
    from torchvision.datasets import SBDataset
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    store, target = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("target")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=store))
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sums = {}
    for name, part in {"voc.tar": "VOCdevkit", "benchmark.tgz": "benchmark_RELEASE"}.items():
        with tarfile.open(store / name, "w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(root / part, part)
        sums[name] = hashlib.md5((store / name).read_bytes()).hexdigest()
    place = {"url": f"{address}/voc.tar", "filename": "voc.tar", "md5": sums["voc.tar"]}
    monkeypatch.setitem(DATASET_YEAR_DICT, "2012", {**DATASET_YEAR_DICT["2012"], **place})
    monkeypatch.setattr(SBDataset, "url", f"{address}/benchmark.tgz")
    monkeypatch.setattr(SBDataset, "md5", sums["benchmark.tgz"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield target
    server.shutdown()
    server.server_close()


def test_download(archives):
    folder = prepare(archives, download=True)
    assert folder == archives / "VOCdevkit/VOC2012" and open_dataset(folder).has_masks("train_aug")


def test_an_unpacking_that_was_interrupted_is_done_again(archives):
    folder = prepare(archives, download=True)
    shutil.rmtree(folder / "SegmentationClassAug")
    (folder / f"JPEGImages/{VAL[0]}.jpg").unlink()
    (archives / "benchmark_RELEASE/dataset/cls/2008_000002.mat").unlink()
    assert f"{VAL[0]}.jpg" in refusal(archives)
    prepare(archives, download=True)
    assert open_dataset(folder).has_masks("train_aug") and (folder / f"JPEGImages/{VAL[0]}.jpg").is_file()


def test_a_damaged_or_absent_archive(archives, monkeypatch):
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    monkeypatch.setitem(DATASET_YEAR_DICT["2012"], "md5", "0" * 32)
    text = refusal(archives, download=True)
    assert "VOC 2012 could not be downloaded" in text and "other means" in text
    monkeypatch.setitem(DATASET_YEAR_DICT["2012"], "url", DATASET_YEAR_DICT["2012"]["url"] + ".gone")
    assert "VOC 2012 could not be downloaded" in refusal(archives / "other", download=True)


def test_a_plain_folder_cannot_be_completed_by_a_download(tmp_path):
    folder = write_voc(tmp_path / "VOC2012")
    (folder / f"JPEGImages/{VAL[0]}.jpg").unlink()
    assert "cannot be completed by a download" in refusal(folder, download=True)


# --- command and book ------------------------------------------------------------------------------------------------


def test_command(root, capsys):
    assert main(["data", "voc", "--root", str(root), "--workers", "1"]) == 2
    assert "1,464 in the release" in capsys.readouterr().err
    assert main(["data", "voc", "--root", str(root), "--workers", "1", "--partial"]) == 0
    assert f"--data-root {root / 'VOCdevkit/VOC2012'}" in capsys.readouterr().out


def test_the_books_counts_are_the_ones_that_are_checked():
    page = (ROOT / "book/data.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (VOC|COCO) `(\w+)`.*\| ([\d,]+) \|$", page, flags=re.M)
    table = {(name, split): int(number.replace(",", "")) for name, split, number in rows}
    wanted = {("VOC", split): number for split, number in voc.COUNTS.items()}
    assert table == wanted | {("COCO", split): number for split, number in coco.COUNTS.items()}
