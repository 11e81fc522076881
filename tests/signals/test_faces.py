"""Faces: where they are in pictures of any size, and that a blurred face is found no more.

The face is that of the photograph that matplotlib ships (Grace Hopper, public domain).
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.errors import MissingModelError
from curation.graph import Graph
from curation.images import ImageBatch
from curation.shards.blur import blurred, encoded
from curation.signals import SIGNALS
from curation.signals.faces import BOXES, SIDES

pytest.importorskip("cv2")
FACE = (105, 155, 335, 380)  # rows and columns of the face in the photograph, by eye


@pytest.fixture(scope="module")
def hopper() -> Image.Image:
    import matplotlib

    return Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB")


def saved(image: Image.Image, kind: str = "JPEG", exif: Image.Exif | None = None) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, exif=exif or Image.Exif())
    return file.getvalue()


def boxes(*data: bytes | None, faces: str = "haar") -> list:
    batch = ImageBatch(list(data))
    sizes = [pa.array([getattr(batch.header(i), s, None) for i in range(len(batch))]) for s in ("width", "height")]
    found = SIGNALS["face_boxes"](batch.pixels_bounded, *(each.cast(pa.int32()) for each in sizes), faces=faces)
    assert found.type == SIGNALS["face_boxes"].spec.type
    return found.to_pylist()


def overlap(box: dict, wanted: tuple) -> float:
    """Intersection over union."""
    r0, c0, r1, c1 = (box[side] for side in SIDES)
    common = max(0, min(r1, wanted[2]) - max(r0, wanted[0])) * max(0, min(c1, wanted[3]) - max(c0, wanted[1]))
    both = (r1 - r0) * (c1 - c0) + (wanted[2] - wanted[0]) * (wanted[3] - wanted[1])
    return common / (both - common)


def test_a_face_is_found_at_any_resolution_and_turned_by_exif(hopper: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(hopper.transpose(Image.Transpose.ROTATE_90), exif=exif)
    big = saved(hopper.resize((2048, 2400), Image.Resampling.BICUBIC))
    whole = saved(hopper.resize((1024, 1200)), "PNG")  # no scaled decode: only the search is on a smaller one
    found = boxes(saved(hopper), turned, big, saved(hopper.resize((170, 200))), whole, None, b"<html>")
    assert found[5:] == [None, None]
    for one, scale in zip(found[:5], (1, 1, 4, 1 / 3, 2)):
        assert len(one) == 1
        assert overlap(one[0], tuple(side * scale for side in FACE)) > 0.6


def test_no_face_is_an_empty_list_and_rows_stand_alone(hopper: Image.Image) -> None:
    plain = saved(Image.new("RGB", (300, 200), "grey"))
    found = boxes(plain, saved(hopper), plain)
    assert found[0] == found[2] == [] and found[1] == boxes(saved(hopper))[0]
    assert boxes() == []
    assert boxes(saved(Image.new("RGB", (1, 1)), "PNG"), saved(Image.new("RGB", (5, 90)), "PNG")) == [[], []]


def test_scientific_figures_have_few_faces(shared: Path) -> None:
    figures = sorted((shared / "data").rglob("*.jpg"))[:40]
    found = boxes(*(path.read_bytes() for path in figures))
    assert len(figures) == 40 and sum(bool(one) for one in found) <= 2


def test_count_and_share() -> None:
    rows = pa.array([[], None, [dict(zip(SIDES, b)) for b in ((0, 0, 2, 5), (0, 0, 2, 5), (2, 0, 4, 5))]], BOXES)
    widths, heights = pa.array([10, 10, 10], pa.int32()), pa.array([4, 4, 4], pa.int32())
    assert SIGNALS["face_count"](rows).to_pylist() == [0, None, 3]
    assert SIGNALS["face_area_share"](rows, widths, heights).to_pylist() == [0, None, 0.5]


def test_a_blurred_face_is_found_no_more(hopper: Image.Image) -> None:
    pixels = np.asarray(hopper)
    [found] = boxes(saved(hopper))[0]
    box = tuple(found[side] for side in SIDES)
    changed = blurred(pixels, [box])
    data = encoded(changed)
    assert data == encoded(blurred(pixels, [box, box])) and data[:2] == b"\xff\xd8"
    assert boxes(data) == [[]]
    inside = changed[box[0] : box[2], box[1] : box[3]].astype(int)
    assert np.abs(np.diff(inside, axis=0)).max() < 12  # no edge is left
    assert (changed[:60] == pixels[:60]).all() and (changed[480:] == pixels[480:]).all()
    again = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(again[:60].astype(int) - pixels[:60]).mean() < 2


def test_boxes_at_the_border_and_over_each_other() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    border = blurred(pixels, [(0, 0, 50, 60)])
    assert border.shape == pixels.shape and border.std() < pixels.std() / 3
    two = [(5, 5, 30, 30), (20, 20, 45, 50)]
    assert (blurred(pixels, two) == blurred(pixels, two[::-1])).all()
    assert pixels.flags.writeable and (blurred(pixels, []) == pixels).all()


def test_a_detector_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match=r"wanted 'haar' or the path of YuNet's .onnx"):
        Graph({"faces": "yunet"}).node("face_boxes")
    with pytest.raises(MissingModelError, match="no file"):
        Graph({"faces": str(tmp_path / "yunet.onnx")}).node("face_count")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nonsense")
    with pytest.raises(MissingModelError, match="does not load as YuNet"):
        boxes(saved(Image.new("RGB", (64, 64))), faces=str(broken))
    assert Graph().node("face_boxes").key != Graph({"faces": str(broken)}).node("face_boxes").key
