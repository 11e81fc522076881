"""Every kind of file gives the pixels its stated rule says."""

import io
import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from curation.decode import SMALL_SIDE, decode, decode_small, small_scale
from curation.errors import BadItemError
from curation.headers import header


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth blobs with some texture, which JPEG treats as it treats photographs."""
    total = np.zeros((height, width, 3))
    for step, weight in ((200, 0.6), (30, 0.25), (5, 0.15)):
        colours = np.random.default_rng(seed).integers(
            0, 255, (height // step + 2, width // step + 2, 3), dtype=np.uint8
        )
        total += weight * np.asarray(Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC), float)
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


RGB = photo(90, 60)
GREY = RGB.convert("L")
PALETTE = RGB.quantize(64)
ALPHA = Image.linear_gradient("L").resize((90, 60))
RGBA = Image.merge("RGBA", (*RGB.split(), ALPHA))
LA = Image.merge("LA", (GREY, ALPHA))
SHORTS = np.random.default_rng(0).integers(0, 65536, (60, 90)).astype(np.uint16)


def on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def png_16_bits(samples: np.ndarray, colour: int) -> bytes:
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    framed = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


# name -> (file, the pixels it must give exactly)
LOSSLESS = {
    "png": (saved(RGB, "PNG"), RGB),
    "png stored": (saved(RGB, "PNG", compress_level=0), RGB),
    "png grey": (saved(GREY, "PNG"), GREY.convert("RGB")),
    "png 1 bit": (saved(GREY.convert("1"), "PNG"), GREY.convert("1").convert("RGB")),
    "png palette": (saved(PALETTE, "PNG"), PALETTE.convert("RGB")),
    "png rgba": (saved(RGBA, "PNG"), on_white(RGBA)),
    "png grey and alpha": (saved(LA, "PNG"), on_white(LA)),
    "png animated": (saved(RGB, "PNG", save_all=True, append_images=[ImageOps.invert(RGB)]), RGB),
    "png with profile": (saved(RGB, "PNG", icc_profile=b"\0" * 200), RGB),
    "png 16 bits": (png_16_bits(SHORTS[..., None], 0), (SHORTS >> 8)[..., None].repeat(3, 2)),
    "png 16 bits rgb": (png_16_bits(SHORTS.reshape(60, 30, 3), 2), (SHORTS >> 8).reshape(60, 30, 3)),
    "webp lossless": (saved(RGB, "WEBP", lossless=True), RGB),
    "webp animated": (saved(RGB, "WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(RGB)]), RGB),
    "gif": (saved(PALETTE, "GIF"), PALETTE.convert("RGB")),
    "gif animated": (
        saved(PALETTE, "GIF", save_all=True, append_images=[ImageOps.invert(GREY)]),
        PALETTE.convert("RGB"),
    ),
    "bmp": (saved(RGB, "BMP"), RGB),
    "bmp palette": (saved(PALETTE, "BMP"), PALETTE.convert("RGB")),
    "tiff": (saved(RGB, "TIFF"), RGB),
    "tiff lzw": (saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "tiff deflate": (saved(RGBA, "TIFF", compression="tiff_adobe_deflate"), on_white(RGBA)),
    "tiff fax": (saved(GREY.convert("1"), "TIFF", compression="group4"), GREY.convert("1").convert("RGB")),
    "tiff cmyk": (saved(RGB.convert("CMYK"), "TIFF"), RGB.convert("CMYK").convert("RGB")),
    "tiff 16 bits": (saved(Image.fromarray(SHORTS), "TIFF"), (SHORTS >> 8)[..., None].repeat(3, 2)),
    "tiff of pages": (saved(RGB, "TIFF", save_all=True, append_images=[ImageOps.invert(RGB)]), RGB),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_give_their_pixels(name: str) -> None:
    data, expected = LOSSLESS[name]
    pixels, wanted = decode(data), np.asarray(expected)
    assert pixels.dtype == np.uint8
    # Composing rounds a share once more or less than Pillow's own composition.
    assert np.abs(pixels.astype(int) - wanted).max() <= (
        1 if "alpha" in name or "rgba" in name or "deflate" in name else 0
    )
    assert (decode_small(data) == pixels).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(kind: str) -> None:
    data = saved(PALETTE, kind, transparency=3)
    clear = np.asarray(PALETTE) == 3
    assert clear.any() and not clear.all()
    pixels = decode(data)
    assert (pixels[clear] == 255).all()
    assert (pixels[~clear] == np.asarray(PALETTE.convert("RGB"))[~clear]).all()


LOSSY = {
    "jpeg": saved(RGB, "JPEG"),
    "jpeg progressive": saved(RGB, "JPEG", progressive=True),
    "jpeg 4:4:4": saved(RGB, "JPEG", subsampling=0),
    "jpeg 4:2:2": saved(RGB, "JPEG", subsampling=1),
    "jpeg grey": saved(GREY, "JPEG"),
    "jpeg rgb": saved(RGB, "JPEG", keep_rgb=True),
    "jpeg cmyk": saved(RGB.convert("CMYK"), "JPEG"),
    "jpeg restarts": saved(RGB, "JPEG", restart_marker_rows=1),
    "jpeg with trailing bytes": saved(RGB, "JPEG") + b"\0" * 100,
    "mpo": saved(RGB, "MPO", save_all=True, append_images=[ImageOps.invert(RGB)]),
    "webp": saved(RGB, "WEBP"),
    "tiff jpeg": saved(RGB, "TIFF", compression="jpeg"),
}


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_files_give_what_pillow_gives(name: str) -> None:
    data = LOSSY[name]
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
    error = ((decode(data) - wanted) ** 2).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 40  # dB
    assert ((wanted - np.asarray(RGB if "grey" not in name else GREY.convert("RGB"))) ** 2).mean() < 300  # one picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(RGB, kind, exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.abs(decode(data).astype(int) - wanted).max() <= 1
    found = header(data)
    assert decode(data).shape == (found.height, found.width, 3)


def test_a_rotation_in_xmp_alone_is_not_applied() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert decode(saved(RGB, kind, xmp=xmp)).shape == (60, 90, 3)


def truncated(name: str) -> bytes:
    data = (LOSSLESS | {n: (d, None) for n, d in LOSSY.items()})[name][0]
    several = any(word in name for word in ("animated", "pages", "mpo"))  # cut inside the first
    return data[:-150] if name == "jpeg with trailing bytes" else data[: int(len(data) * (0.25 if several else 0.6))]


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_a_truncated_file_is_an_error(name: str) -> None:
    cut = truncated(name)
    for read in (decode, decode_small):
        with pytest.raises(BadItemError) as caught:
            read(cut)
        assert caught.value.code == "decode_error"


def test_samples_without_an_agreed_range_are_refused() -> None:
    for samples in (np.zeros((5, 5), np.float32), np.zeros((5, 5), np.int32)):
        with pytest.raises(BadItemError, match="not_supported"):
            decode(saved(Image.fromarray(samples), "TIFF"))


def test_pixels_are_read_only() -> None:
    for data in (LOSSY["jpeg"], LOSSY["jpeg cmyk"], LOSSLESS["png"][0]):
        assert not decode(data).flags.writeable


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(447, 900, 1), (894, 2000, 1), (895, 2000, 2), (1790, 1788, 2), (1789, 1800, 4), (3580, 3576, 4), (3577, 3600, 8)],
)
def test_small_is_the_smallest_octave_above_the_side(width: int, height: int, scale: int) -> None:
    data = saved(Image.new("RGB", (width, height), "teal"), "JPEG")
    assert small_scale(header(data)) == scale
    assert decode_small(data).shape == (-(-height // scale), -(-width // scale), 3)
    assert min(decode_small(data).shape[:2]) >= SMALL_SIDE or scale == 1


def test_small_is_rotated_as_well() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode_small(saved(photo(1000, 1200), "JPEG"))
    turned = decode_small(saved(photo(1000, 1200), "JPEG", exif=exif))
    assert (turned == np.rot90(upright, -1)).all()


def test_small_resized_to_224_px_is_close_to_the_full_picture() -> None:
    for seed, size in enumerate([(1200, 900), (2000, 1800), (3700, 3600)]):
        data = saved(photo(*size, seed), "JPEG", quality=88)
        small, full = (
            np.asarray(Image.fromarray(read(data)).resize((224, 224), Image.Resampling.BICUBIC), float)
            for read in (decode_small, decode)
        )
        assert 10 * np.log10(255**2 / ((small - full) ** 2).mean()) > 40  # dB


def test_real_figures_decode_as_pillow_decodes_them(shared: pathlib.Path) -> None:
    kinds = (".jpg", ".jpeg", ".png", ".gif")
    paths = sorted(p for p in (shared / "data").rglob("*") if p.suffix.lower() in kinds)[::9]
    assert paths
    for path in paths:
        data = path.read_bytes()
        with Image.open(path) as image:
            wanted = ImageOps.exif_transpose(image)
            wanted = on_white(wanted) if wanted.has_transparency_data else wanted.convert("RGB")
        if max(wanted.size) > 20 * min(wanted.size):
            continue
        pixels = decode(data)
        assert pixels.shape == (wanted.height, wanted.width, 3), path
        assert np.abs(pixels.astype(int) - np.asarray(wanted)).max() <= 2, path
