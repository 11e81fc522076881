"""Readers of text in pictures: what they find of words drawn here, alone and among others."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from curation.errors import MissingModelError, RecipeError
from curation.graph import Graph
from curation.models import named, ocr, tesseract
from tests.drawing import draw

needs_rapidocr = pytest.mark.skipif(
    any(ocr.importlib.util.find_spec(package) is None for package in ocr.PACKAGES),
    reason="the extra ocr is not installed",
)
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="no program tesseract")
READERS = [pytest.param("rapidocr", marks=needs_rapidocr), pytest.param("tesseract", marks=needs_tesseract)]
LINES = (("SUMMER", (20, 20)), ("harbour lights", (20, 90)))


def written(size=(256, 192), lines=LINES, points=30, turn=0, ground="white", ink="black"):
    """A picture with lines of text, and the box around each: left, top, right, bottom."""
    image = Image.new("RGB", size, ground)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(points)
    for text, place in lines:
        pen.text(place, text, ink, font)
    boxes = [pen.textbbox(place, text, font) for text, place in lines]
    return np.asarray(image.rotate(turn, expand=True, fillcolor=ground)), boxes


def found(reader, picture, side=384):
    regions = reader.detect([picture], side)[0]
    readings = reader.read([picture], [[region.corners for region in regions]])[0]
    return regions, [reading.text for reading in readings]


@pytest.mark.parametrize("name", READERS)
def test_words_are_found_where_they_are(name):
    picture, boxes = written()
    regions, texts = found(ocr.load(name), picture)
    assert texts == ["SUMMER", "harbour lights"]
    for region, (left, top, right, bottom) in zip(regions, boxes, strict=True):
        (x0, y0), (x1, y1) = region.corners.min(axis=0), region.corners.max(axis=0)
        assert max(x0 - left, y0 - top, right - x1, bottom - y1) <= 2, "a letter sticks out"
        assert max(left - x0, top - y0, x1 - right, y1 - bottom) < 16, "the box is too wide"
        assert 0.4 <= region.score <= 1


@pytest.mark.parametrize("name", READERS)
def test_a_larger_picture_is_seen_smaller_and_told_in_its_own_pixels(name):
    picture, _ = written()
    large = np.asarray(Image.fromarray(picture).resize((1024, 768), Image.Resampling.BICUBIC))
    regions, texts = found(ocr.load(name), large, side=256)
    assert texts == ["SUMMER", "harbour lights"]
    for region, small in zip(regions, ocr.load(name).detect([picture], 256)[0], strict=True):
        assert np.abs(region.corners / 4 - small.corners).max() < 4


@pytest.mark.parametrize("name", READERS)
def test_a_picture_without_text_and_tiny_ones_have_none(name):
    ramp = np.arange(200, dtype=np.uint8)[None, :, None].repeat(150, 0).repeat(3, 2)
    tiny = [np.full((*size, 3), 99, np.uint8) for size in ((1, 1), (1, 500), (500, 2), (9, 9))]
    reader = ocr.load(name)
    assert reader.detect([ramp, *tiny], 384) == [[]] * 5
    assert reader.read([ramp, tiny[0]], [[], []]) == [[], []]


@needs_rapidocr
def test_what_is_said_of_a_picture_does_not_depend_on_its_neighbours_or_on_threads(monkeypatch):
    sizes = np.random.default_rng(0).integers(90, 300, (6, 2)).tolist()
    pictures = [written((w, h), [(f"word {w} {h}", (8, 8))], 16)[0] for w, h in sizes]
    reader = ocr.load("rapidocr")

    def everything(batch):
        regions = reader.detect(batch, 384)
        readings = reader.read(batch, [[region.corners for region in each] for each in regions])
        return [[(r.corners.tolist(), r.score, t) for r, t in zip(*each)] for each in zip(regions, readings)]

    alone = [everything([picture])[0] for picture in pictures]
    assert all(alone)
    for cores in ("1", "3"):
        monkeypatch.setenv("CURATION_THREADS", cores)
        assert everything(pictures) == alone
        assert everything(pictures[::-1]) == alone[::-1]


@needs_rapidocr
@pytest.mark.parametrize("turn", [7, -12, 90, 270])
def test_turned_lines_are_read(turn):
    picture, _ = written((256, 120), [("GARDEN party", (30, 40))], 30, turn)
    assert found(ocr.load("rapidocr"), picture)[1] == ["GARDEN party"]


@needs_rapidocr
def test_things_that_fill_a_picture_are_no_text_but_a_letter_is():
    reader = ocr.load("rapidocr")
    drawings = [np.asarray(draw(number)[0]) for number in range(24)]
    assert [r for each in reader.detect(drawings, 384) for r in each if r.score >= 0.5] == []
    letter, [box] = written((200, 200), [("R", (40, 10))], 160)
    [region] = reader.detect([letter], 384)[0]
    assert np.abs(np.r_[region.corners.min(axis=0), region.corners.max(axis=0)] - box).max() < 25


@needs_rapidocr
def test_regions_are_connected_pixels_grown_and_bounded_in_number():
    from curation.models import rapid_ocr

    probability = np.zeros((64, 320), np.float32)
    probability[20:30, 40:100] = 0.9  # 60 by 10 pixels: OpenCV's rectangle has 59 by 9
    probability[50:60, 10:60] = 0.35  # above the threshold, but unsure on average
    probability[5:7, 200:300] = 0.9  # too low to be a line
    [region] = rapid_ocr.regions_of(probability)
    grow = 1.8 * 59 * 9 / (2 * (59 + 9))
    wanted = [[40 - grow, 20 - grow], [99 + grow, 20 - grow], [99 + grow, 29 + grow], [40 - grow, 29 + grow]]
    assert np.abs(region.corners - wanted).max() < 1e-3 and abs(region.score - 0.9) < 1e-6

    many = np.zeros((1600, 320), np.float32)
    for number in range(250):
        many[6 * number : 6 * number + 4, 10:60] = 0.5 + number / 1000
    regions = rapid_ocr.regions_of(many)
    assert len(regions) == rapid_ocr.MAX_REGIONS
    assert min(region.score for region in regions) > 0.5 + 49 / 1000
    tops = [region.corners[:, 1].min() for region in regions]
    assert tops == sorted(tops)


@needs_rapidocr
def test_a_line_beyond_the_border_and_one_of_extreme_length_are_read_all_the_same():
    reader = ocr.load("rapidocr")
    picture, _ = written()
    outside = np.array([[-50, -50], [40, -50], [40, 300], [-50, 300]], np.float32)
    flat = np.array([[0, 5], [255, 5], [255, 5.2], [0, 5.2]], np.float32)
    readings = reader.read([picture], [[outside, flat, flat * 0]])[0]
    assert len(readings) == 3 and all(0 <= reading.score <= 1 for reading in readings)


@needs_rapidocr
def test_models_are_named_by_digest():
    told = named.describe("ocr", "rapidocr")
    assert told["digest"] == named.digest("ocr", "rapidocr")
    assert sorted(told["files"]) == [ocr.DETECTOR, ocr.RECOGNISER]
    assert told["files"][ocr.DETECTOR] == named.file_digest(str(ocr.model_files("rapidocr")[ocr.DETECTOR]))
    assert named.absolute_name("ocr", "rapidocr") == "rapidocr"


def test_a_missing_package_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(ocr, "PACKAGES", ("rapidocr", "no_such_package"))
    with pytest.raises(MissingModelError, match=r"no_such_package.* not installed: pip install curation\[ocr\]"):
        Graph().node("parrot_share")


def test_a_missing_program_and_an_unknown_name_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingModelError, match=r"no program tesseract on PATH; .*apt-get install"):
        Graph({"ocr": "tesseract"}).node("text_boxes")
    for name in ("easyocr", "tesseract:", "tesseract:eng++deu"):
        with pytest.raises(RecipeError, match=r"no reader .*; known: \['rapidocr', 'tesseract'"):
            Graph({"ocr": name}).node("text_boxes")


def test_a_tesseract_that_hides_its_models_is_refused(monkeypatch):
    told = {"--list-langs": "List of available languages (2):\neng\nosd\n", "--version": "tesseract 4.1.1\n more\n"}
    monkeypatch.setattr(tesseract, "_run", lambda *words: told[words[0]])
    with pytest.raises(MissingModelError, match=r"tesseract 4.1.1 does not say where .*; wanted version 5 or newer"):
        tesseract.model_files(["eng"])


@needs_tesseract
def test_tesseract_without_the_language_is_refused():
    with pytest.raises(MissingModelError, match=r"no model of \['xyz'\] here; there are \['eng'"):
        ocr.digest("tesseract:eng+xyz")
    assert ocr.describe("tesseract")["runs"].startswith("tesseract ")
