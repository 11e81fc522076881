"""Signals of text in pictures: boxes, shares, masked pictures and scores, parroting captions."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curation.compute import Job, bucket_writer
from curation.decode import decode
from curation.errors import RecipeError
from curation.graph import Graph
from curation.methods import mask_boxes, masked_share
from curation.models import ocr
from curation.signal import PICTURES
from curation.signals import SIGNALS
from curation.signals.text_in_images import BOXES, READINGS, REGIONS
from curation.tables import read_arrow
from curation.vectors import from_matrix
from tests.models.test_ocr import needs_rapidocr, written

SIDES = ("r0", "c0", "r1", "c1")


def boxes_of(*rows):
    return pa.array([None if row is None else [dict(zip(SIDES, box)) for box in row] for row in rows], BOXES)


def sizes_of(*pictures):
    """Widths and heights, as the signals give them."""
    shapes = [(None, None) if p is None else p.shape[:2] for p in pictures]
    return pa.array([w for _, w in shapes], pa.int32()), pa.array([h for h, _ in shapes], pa.int32())


def test_recorded_masks(shared):
    oracle = json.loads((shared / "oracles" / "tmars_masking_small.json").read_text())
    for case in oracle["cases"]:
        pixels, boxes = np.array(case["image"], np.uint8), boxes_of(case["boxes(r0,c0,r1,c1 half-open)"])
        settings = {"mask_pad": case["pad"], "mask_ring": case["ring"]}
        [masked] = SIGNALS["text_masked_pixels"]([pixels], boxes, **settings)
        assert (None if masked is None else masked.tolist()) == case["masked"]


SIDE = st.integers(-8, 30)
BOX = st.tuples(SIDE, SIDE, SIDE, SIDE)


@given(st.lists(BOX, max_size=4), st.lists(BOX, max_size=4), st.integers(1, 20), st.integers(1, 20))
def test_any_boxes_give_the_methods_share_and_mask(one, other, height, width):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    boxes = boxes_of(one, None, other)
    shares = SIGNALS["image_text_area_share"](boxes, *sizes_of(pixels, pixels, pixels)).to_pylist()
    masked = SIGNALS["text_masked_pixels"]([pixels, pixels, pixels], boxes)
    assert shares[1] is None and masked[1] is None
    for which, given_boxes in ((0, one), (2, other)):
        assert shares[which] == np.float32(masked_share(pixels.shape, given_boxes)) and 0 <= shares[which] <= 1
        wanted = mask_boxes(pixels, given_boxes)
        assert (masked[which] is None) == (wanted is None)
        assert wanted is None or (masked[which] == wanted).all()


def test_a_picture_without_text_is_passed_on_and_the_given_ones_stay_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    before = pixels.copy()
    untouched, masked, none = SIGNALS["text_masked_pixels"]([pixels, pixels, None], boxes_of([], [(2, 2, 5, 5)], None))
    assert untouched is pixels and none is None
    assert (pixels == before).all() and (masked != before).any()


@given(st.lists(st.tuples(*[st.floats(-60, 120, width=32)] * 8, st.floats(0.4375, 1, width=32)), max_size=4))
def test_boxes_lie_in_the_picture_around_their_regions(found):
    regions = [{"corners": list(region[:8]), "score": region[8]} for region in found]
    size = pa.array([50, None], pa.int32()), pa.array([40, None], pa.int32())
    boxes, none = SIGNALS["text_boxes"](pa.array([regions, regions], REGIONS), *size).to_pylist()
    assert none is None
    wanted = []
    for region in regions:
        touched = []
        for along, length in ((region["corners"][1::2], 40), (region["corners"][::2], 50)):
            touched.append([i for i in range(length) if i + 1 > min(along) and i < max(along)])
        if region["score"] >= 0.5 and all(touched):
            rows, columns = touched
            wanted.append(dict(zip(SIDES, (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))))
    assert boxes == wanted


def test_scores_bound_boxes_and_texts_without_the_pictures():
    regions = pa.array([[{"corners": [1, 1, 9, 1, 9, 5, 1, 5], "score": s} for s in (0.45, 0.6, 0.9)]], REGIONS)
    sizes = pa.array([20], pa.int32()), pa.array([20], pa.int32())
    count = [len(SIGNALS["text_boxes"](regions, *sizes, box_score=s).to_pylist()[0]) for s in (0.4, 0.5, 0.7, 1.0)]
    assert count == [3, 2, 1, 0]
    readings = pa.array(
        [[{"text": "A", "score": 0.4}, {"text": "", "score": 0.9}, {"text": "b", "score": 0.9}]], READINGS
    )
    assert SIGNALS["image_text"](readings).to_pylist() == [["b"]]
    assert SIGNALS["image_text"](readings, text_score=0.3).to_pylist() == [["A", "b"]]


def test_the_signals_stand_in_the_registry_as_the_design_names_them():
    assert SIGNALS["text_boxes"].spec.type == BOXES
    assert [f.name for f in BOXES.value_type] == list(SIDES)
    assert SIGNALS["image_text"].spec.type == pa.list_(pa.string())
    assert SIGNALS["text_masked_pixels"].spec.type == PICTURES
    with pytest.raises(RecipeError, match="text_masked_pixels makes pictures for other signals"):
        Graph().node("text_masked_pixels")


def test_recorded_parrots(shared):
    pairs = json.loads((shared / "oracles" / "text_rules_small.json").read_text())["parrot_captions"]["pairs"]
    captions, texts = pa.array([p["caption"] for p in pairs]), pa.array([p["ocr_words"] for p in pairs])
    assert SIGNALS["parrot_share"](captions, texts).to_pylist() == [p["co_emb_rate"] for p in pairs]
    assert SIGNALS["parrot_share_fuzzy"](captions, texts).to_pylist() == [p["fuzzy_rate"] for p in pairs]


def test_captions_without_words_and_nulls_have_no_share():
    captions = pa.array(["", "...", None, "a cat", "a cat", "Ein Kätzchen"])
    texts = pa.array([["a"], ["..."], ["a"], None, [], ["EIN", "KÄTZCHEN!"]])
    for name in ("parrot_share", "parrot_share_fuzzy"):
        assert SIGNALS[name](captions, texts).to_pylist() == [None, None, None, None, 0.0, 1.0]


def vectors(*seeds):
    rows = [np.random.default_rng(seed).normal(size=8) for seed in seeds]
    return from_matrix(np.stack([row / np.linalg.norm(row) for row in rows]))


def test_without_text_the_vector_is_the_pictures_own_and_no_model_is_asked():
    pixels = np.zeros((9, 9, 3), np.uint8)
    embedded = vectors(1, 2, 3)
    masked = SIGNALS["text_masked_embedding"](
        [pixels, None, None], boxes_of([], [(0, 0, 9, 9)], None), embedded, clip="there is no such model"
    )
    assert masked.to_pylist() == [embedded[0].as_py(), None, None]
    captions = vectors(4, 5, 6)
    plain, score = SIGNALS["clip_score"](embedded, captions), SIGNALS["text_masked_clip_score"](masked, captions)
    assert score.to_pylist() == [plain[0].as_py(), None, None]


def test_with_text_the_masked_picture_is_embedded_and_only_it(model):
    from curation.models.clip import load

    picture, _ = written()
    boxes = boxes_of([(20, 20, 60, 150)], [], None, [(0, 0, 192, 256)])
    pictures = [picture, picture, picture, picture]
    embedded = SIGNALS["image_embedding"](pictures, clip=model)
    masked = SIGNALS["text_masked_pixels"](pictures, boxes)
    found = SIGNALS["text_masked_embedding"](masked, boxes, embedded, clip=model)
    wanted = from_matrix(load(model).embed_images([mask_boxes(picture, [(20, 20, 60, 150)])], fast=True))
    assert found.to_pylist() == [wanted[0].as_py(), embedded[1].as_py(), None, None]
    assert found[0] != embedded[0]


@pytest.fixture(scope="module")
def written_files(tmp_path_factory):
    """Three files: text in a large JPEG, none, and one that is cut short."""
    folder = tmp_path_factory.mktemp("written")
    picture, _ = written((1024, 960), [("HARVEST", (300, 400))], 120)
    Image.fromarray(picture).save(folder / "0.jpg", quality=95)
    Image.fromarray(np.full((100, 120, 3), 130, np.uint8)).save(folder / "1.png")
    (folder / "2.jpg").write_bytes((folder / "0.jpg").read_bytes()[:4000])
    return folder


def computed(folder, names, settings, out):
    """The rows that a task writes of each signal for the files of a folder."""
    nodes = tuple(Graph(settings).node(name) for name in names)
    files = sorted(path.name for path in folder.iterdir())
    columns = {"id": files, "digest": pa.array([0] * len(files), pa.int64())}
    columns["image"] = [{"uri": str(folder / name), "offset": 0, "length": None} for name in files]
    columns |= {"want": pa.array([(1 << len(nodes)) - 1] * len(files), pa.int64())}
    columns["bucket"] = pa.array([0] * len(files), pa.int32())
    job = Job("image", nodes, tuple(str(out / name) for name in names))
    records = list(bucket_writer(job)(iter([pa.RecordBatch.from_pydict(columns)])))
    return {
        name: read_arrow(str(out / name), [record["part"]]).to_pylist() for name, record in zip(names, records)
    }, records


@needs_rapidocr
def test_a_task_reads_text_in_the_full_resolution_and_says_why_there_is_none(written_files, model, tmp_path):
    names = ("text_regions", "text_readings", "image_embedding", "text_masked_embedding")
    rows, records = computed(written_files, names, {"clip": model}, tmp_path)
    assert [[line["text"] for line in row["value"] or []] for row in rows["text_readings"]] == [["HARVEST"], [], []]
    full = decode((written_files / "0.jpg").read_bytes())
    corners = np.array(rows["text_regions"][0]["value"][0]["corners"]).reshape(4, 2)
    dark = np.argwhere(full.max(axis=2) < 100)[:, ::-1]
    assert np.abs(corners.min(axis=0) - dark.min(axis=0)).max() < 40
    assert np.abs(corners.max(axis=0) - dark.max(axis=0)).max() < 40
    assert rows["text_masked_embedding"][1]["value"] == rows["image_embedding"][1]["value"]
    assert rows["text_masked_embedding"][0]["value"] != rows["image_embedding"][0]["value"]
    for name in names:
        assert rows[name][2]["value"] is None and rows[name][2]["error"].startswith("decode_error")
    assert records[0]["models"]["ocr"]["files"] == ocr.describe("rapidocr")["files"]


@needs_rapidocr
def test_a_picture_that_is_all_text_has_no_masked_vector_and_a_reason(written_files, model, tmp_path):
    rows, _ = computed(written_files, ["text_masked_embedding"], {"clip": model, "mask_pad": 2000}, tmp_path)
    covered, plain, broken = rows["text_masked_embedding"]
    assert covered["value"] is None and covered["error"].startswith("all_text: no pixel")
    assert plain["value"] is not None and plain["error"] is None
    assert broken["error"].startswith("decode_error")
