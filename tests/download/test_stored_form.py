"""Images as they came, or in the form that img2dataset's options ask for."""

import hashlib
import inspect
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from curation.decode import decode
from curation.download.images import encode, picture, resized
from curation.download.pages import Page
from curation.download.pool import download
from curation.download.settings import Settings, checked
from curation.download.task import fetch_pages
from curation.errors import BadItemError, RecipeError
from curation.headers import header
from curation.schema import hex_id
from curation.stages.download_images import download_images
from tests.download.serving import Site, fetch, stored


def drawn(width, height, kind="JPEG", **options):
    """A picture with a gradient and a dark left edge, encoded."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    pixels[..., 2] = 90
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def made(data, **options):
    return picture(data, None, checked(options, "test"))


# What img2dataset 1.47.0 makes of a picture of 800 by 300 pixels (its resizer, max_side=100), as (width, height).
SIZES = {
    "no": (800, 300),
    "keep_ratio": (267, 100),
    "keep_ratio_largest": (100, 38),
    "center_crop": (100, 100),
    "border": (100, 100),
}


@pytest.mark.parametrize("mode", SIZES)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_sizes_and_formats(mode, extension):
    side = {} if mode == "no" else {"max_side": 100}
    options = side | {"resize": mode, "format": extension, "encode_quality": 9}
    found = made(drawn(800, 300), **options)
    assert (found.width, found.height, found.format) == (*SIZES[mode], extension)
    head = header(found.data)
    assert (head.width, head.height, head.format) == (*SIZES[mode], extension)
    assert found.sha256 == hashlib.sha256(found.data).hexdigest()
    assert (found.original["width"], found.original["height"], found.original["format"]) == (800, 300, "jpg")
    assert found.original["sha256"] == hashlib.sha256(drawn(800, 300)).hexdigest()


@pytest.mark.parametrize(("extension", "side"), [("jpg", 65_501), ("webp", 16_384)])
def test_a_side_that_a_format_cannot_have(extension, side):
    with pytest.raises(BadItemError, match=f"not_supported: {extension} of {side} x 1"):
        encode(np.zeros((1, side, 3), np.uint8), extension, 90)


def test_a_border_is_white_and_in_the_middle():
    pixels = decode(made(drawn(800, 300), resize="border", max_side=100, format="png", encode_quality=1).data)
    assert (pixels[:30] == 255).all() and (pixels[70:] == 255).all() and (pixels[33:67, :, 2] < 150).all()


def test_small_pictures_grow_unless_told_not_to():
    small = drawn(40, 30)
    assert made(small, resize="keep_ratio", max_side=60).width == 80
    assert made(small, resize="keep_ratio", max_side=60, resize_only_if_bigger=True).width == 40


@pytest.mark.parametrize("side", [2000, 1100, 700, 401])
def test_a_scaled_decode_is_as_good_as_a_full_one(side):
    data = drawn(side, side, quality=98)
    options = {"resize": "keep_ratio", "max_side": 100, "format": "png", "encode_quality": 0}
    exact = _mean_of_areas(decode(data), 100)
    error = decode(made(data, **options).data) - exact
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 40


def _mean_of_areas(pixels, side):
    """Each pixel the exact mean of what it covers: by sums over a table, with parts of pixels by interpolation."""
    sums = np.zeros((pixels.shape[0] + 1, pixels.shape[1] + 1, 3))
    sums[1:, 1:] = pixels.astype(float).cumsum(0).cumsum(1)
    for axis in (0, 1):
        at = np.linspace(0, sums.shape[axis] - 1, side + 1)
        low = np.minimum(at.astype(int), sums.shape[axis] - 2)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        sums = sums.take(low, axis) * (1 - part) + sums.take(low + 1, axis) * part
    area = pixels.shape[0] * pixels.shape[1] / side**2
    return np.diff(np.diff(sums, axis=0), axis=1) / area


@pytest.mark.parametrize("size", [(100, 100), (101, 333), (1000, 640), (256, 7000)])
def test_a_smaller_picture_is_the_mean_of_its_areas(size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    smaller = resized(pixels, size[::-1], checked({"resize": "center_crop", "max_side": 100}, "test"))
    assert smaller.shape == (100, 100, 3)
    square = resized(
        pixels[:, : size[0]][: size[1]],
        (min(size),) * 2,
        checked({"resize": "keep_ratio", "max_side": 100}, "t"),
    )
    wanted = _mean_of_areas(pixels[: min(size), : min(size)], 100)
    assert np.abs(square - wanted).max() <= 0.51  # rounded


def test_orientation_is_applied_when_encoding_and_kept_otherwise():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = drawn(80, 60, exif=exif)
    kept, encoded = made(data), made(data, format="png", encode_quality=1)
    assert kept.data == data and (kept.width, kept.height) == (60, 80) and kept.original is None
    assert (decode(encoded.data) == decode(data)).all() and (encoded.width, encoded.height) == (60, 80)


def test_transparency_becomes_white():
    file = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(file, "PNG")
    assert decode(made(file.getvalue(), format="jpg").data).min() > 250


def test_cut_files_are_found_whatever_their_format():
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        data = drawn(300, 200, kind)
        with pytest.raises(BadItemError):
            made(data[: len(data) * 2 // 3])


WRONG = {
    "resize": "crop",
    "format": "jpeg",
    "max_side": 0,
    "encode_quality": 101,
    "max_bytes": 0,
    "timeout": 0.0,
    "retries": -1,
    "per_host": 0,
    "delay": 1e9,
    "connections": 0,
    "user_agent_token": "a b",
    "contact": "x\r\nCookie: a",
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_mean_nothing(name):
    with pytest.raises(RecipeError, match=name):
        checked({name: WRONG[name]}, "test")


def test_the_form_counts_only_what_changes_bytes():
    assert Settings().form_key == checked({"timeout": 3.0, "encode_quality": 1}, "test").form_key
    assert Settings().form_key != checked({"format": "png", "encode_quality": 1}, "test").form_key
    assert checked({"resize": "border"}, "test").format == "jpg"


def test_a_longest_side_alone_makes_smaller_and_never_larger():
    found = made(drawn(800, 300), max_side=200)
    assert (found.width, found.height, found.format) == (200, 75, "jpg")
    assert made(drawn(80, 30), max_side=200).width == 80


def test_the_command_and_the_stage_have_the_same_settings():
    doors = [inspect.signature(door).parameters for door in (download, download_images)]
    for name, default in Settings()._asdict().items():
        given = {door[name].default if door[name].default not in (None, []) else default for door in doors}
        assert given == {default}, name


def test_the_tar_holds_each_image_beside_what_it_is(tmp_path, jpeg):
    with Site({f"/{n}.jpg": jpeg for n in range(5)}) as site:
        urls = [site.url(f"/{n}.jpg") for n in range(5)]
        rows = fetch(tmp_path, urls)
    [path] = tmp_path.glob("images/*.tar")
    with tarfile.open(path) as tar:
        names = tar.getnames()
        for url in urls:
            image_id = hex_id(url)
            assert tar.extractfile(f"{image_id}.jpg").read() == stored(rows[url]) == jpeg
            record = json.loads(tar.extractfile(f"{image_id}.json").read())
            assert record == {"url": url, "format": "jpg", "height": 120, "width": 160, "sha256": rows[url]["sha256"]}
    assert names == sorted(names) and len(names) == 10


def test_a_picture_that_does_not_fit_on_the_disk_ends_the_download(tmp_path, no_room):
    page = Page(str(tmp_path), 0, [])
    with no_room():
        page.keep("a", made(drawn(8, 8))._replace(data=bytes(100_000)))


def test_a_page_has_the_same_bytes_however_it_was_fetched(tmp_path, jpeg):
    with Site({f"/{n}.jpg": jpeg + bytes([n]) * n for n in range(40)}) as site:
        urls = [site.url(f"/{n}.jpg") for n in range(40)]
        for folder, order, per_host in (("a", 1, 1), ("b", -1, 20)):
            fetch(tmp_path / folder, urls[::order], per_host=per_host)
    [a], [b] = (list(tmp_path.glob(f"{folder}/images/*.tar")) for folder in "ab")
    assert a.read_bytes() == b.read_bytes() and a.name == b.name


def test_a_second_attempt_finds_what_the_first_one_finished(tmp_path, jpeg):
    settings = checked({"allow_host": ["127.0.0.1"]}, "test")
    with Site({f"/{n}.jpg": jpeg for n in range(6)}) as site:
        rows = [
            {"image_id": hex_id(str(n)), "url": site.url(f"/{n}.jpg"), "opt_out": None, "attempts": 0} for n in range(6)
        ]
        pages = [rows[:3], rows[3:]]
        first = fetch_pages([Page(str(tmp_path), 0, pages[0])], settings)
        asked = site.asked.total()
        both = fetch_pages([Page(str(tmp_path), n, page) for n, page in enumerate(pages)], settings)
        assert both[0] == first[0] and site.asked.total() == asked + 4  # robots.txt again, and three images
        next(tmp_path.glob("images/00000000-*.tar")).write_bytes(b"cut")
        again = fetch_pages([Page(str(tmp_path), 0, pages[0])], settings)
        assert site.asked["/0.jpg"] == 2 and again[0]["tar"] == first[0]["tar"]
