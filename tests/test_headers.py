"""Hostile and merely odd files: each has an expected decision, made before anything large is allocated."""

import io
import random
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from curation.errors import BadItemError
from curation.headers import LIMITS, Header, Limits, header
from curation.images import decode, decode_small

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return PNG + start + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def gif(width: int, height: int, *blocks: bytes, wide: int = 1, high: int = 1) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, wide, high, 0) + b"\x02\x02L\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + b"".join(blocks) + frame + b";"


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def tiff(entries: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + tail


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size


def jpeg(width: int, height: int, *extra: bytes, process: int = 0xC0, bits: int = 8, components: int = 3) -> bytes:
    frame = struct.pack(">BHHB", bits, height, width, components) + bytes(3 * components)
    start = b"\xff" + bytes([process]) + struct.pack(">H", len(frame) + 2) + frame
    return b"\xff\xd8" + b"".join(extra) + start + b"\xff\xda\x00\x08" + bytes(6) + b"\xff\xd9"


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


BUILDERS = {"png": png, "gif": gif, "bmp": bmp, "webp": webp, "jpg": jpeg}
SIZE = [(256, 4, 1), (257, 4, 1)]
HUGE_TEXT = zlib.compress(bytes(64 << 20), 9)
HOSTILE = {
    "nothing": (b"", "not_an_image"),
    "html": (b"<!doctype html><html></html>", "not_an_image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
    "pdf": (b"%PDF-1.7\n", "not_an_image"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not_an_image"),
    "ico": (b"\0\0\1\0\1\0" + bytes(60), "not_an_image"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(60), "not_an_image"),
    "avif": (b"\0\0\0\x18ftypavif" + bytes(60), "not_an_image"),
    "text that begins with BM": (b"BMW is a maker of cars and motorcycles", "not_an_image"),
    "wav": (b"RIFF\x24\0\0\0WAVEfmt ", "not_an_image"),
    "signature only": (PNG, "decode_error"),
    "png 20000 squared": (png(20_000, 20_000), "too_many_pixels"),
    "gif 65535 squared": (gif(65_535, 65_535), "too_long_side"),
    "gif frame beyond its screen": (gif(1, 1, wide=65_535, high=65_535), "too_long_side"),
    "png 60000 by 1": (png(60_000, 1), "too_long_side"),
    "png 30000 by 1": (png(30_000, 1), "too_elongated"),
    "png 0 by 5": (png(0, 5), "decode_error"),
    "jpeg of unknown height": (jpeg(5, 0), "decode_error"),
    "bmp of negative width": (bmp(-5, 5), "decode_error"),
    "tiff 4 billion squared": (tiff([(*s, 2**32 - 1) for s in SIZE]), "too_long_side"),
    "21 MiB": (PNG + bytes(LIMITS.bytes), "too_large"),
    "png text bomb": (png(5, 5, chunk(b"zTXt", b"a\0\0" + HUGE_TEXT)), "decompression_bomb"),
    "png international text bomb": (png(5, 5, chunk(b"iTXt", b"a\0\1\0en\0b\0" + HUGE_TEXT)), "decompression_bomb"),
    "png profile bomb": (png(5, 5, chunk(b"iCCP", b"a\0\0" + HUGE_TEXT)), "decompression_bomb"),
    "png of chunks": (png(5, 5, chunk(b"tIME", b"") * 20_000), "decompression_bomb"),
    "gif of extensions": (gif(5, 5, b"!\xfe\0" * 20_000), "decompression_bomb"),
    "gif of blocks": (gif(5, 5, b"!\xfe" + b"\1a" * 20_000 + b"\0"), "decompression_bomb"),
    "jpeg of segments": (jpeg(5, 5, b"\xff\xfe\0\2" * 20_000), "decompression_bomb"),
    "jpeg of scans": (jpeg(5, 5, process=0xC2) + b"\xff\xda" * 101, "decompression_bomb"),
    "jpeg of 12 bits": (jpeg(5, 5, bits=12), "not_supported"),
    "lossless jpeg": (jpeg(5, 5, process=0xC3), "not_supported"),
    "jpeg of 2 components": (jpeg(5, 5, components=2), "not_supported"),
    "jpeg without a frame": (b"\xff\xd8\xff\xda\0\2", "decode_error"),
    "tiff tags that share one body": (
        tiff([(*s, 5) for s in SIZE] + [(t, 1, 60_000, 8) for t in range(700, 1100)], bytes(60_000)),
        "decompression_bomb",
    ),
    "tiff of tags": (tiff([(*s, 5) for s in SIZE] + [(t, 1, 1, 8) for t in range(1100, 2400)]), "decompression_bomb"),
    "exif directory inside a tiff": (
        tiff([(*s, 5) for s in SIZE] + [(34665, 4, 1, 8), (700, 1, 900, 8)], bytes(1000)),
        "decompression_bomb",
    ),
    "tiff of one tile": (
        tiff([*[(*s, 5) for s in SIZE], (322, 4, 1, 60_000), (323, 4, 1, 60_000)]),
        "decompression_bomb",
    ),
    "tiff without a size": (tiff([(256, 4, 1, 5)]), "decode_error"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_fast_and_small(name: str) -> None:
    data, code = HOSTILE[name]
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(BadItemError) as caught:
        header(data)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == code
    assert seconds < 0.5  # 0.05 s without the tracing
    assert peak < 8 << 20


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_limits_are_inclusive(build: object) -> None:
    limits = Limits(pixels=600, side=60, aspect=6)
    assert header(build(60, 10), limits).width == 60
    for size, code in {(61, 11): "too_long_side", (60, 11): "too_many_pixels", (55, 9): "too_elongated"}.items():
        with pytest.raises(BadItemError, match=code):
            header(build(*size), limits)


def test_limit_of_bytes_is_inclusive() -> None:
    data = png(5, 5)
    assert header(data, Limits(bytes=len(data)))
    with pytest.raises(BadItemError, match="too_large"):
        header(data, Limits(bytes=len(data) - 1))


def test_metadata_below_the_limit_is_no_bomb() -> None:
    assert header(png(5, 5, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(LIMITS.inflated))))).width == 5
    with pytest.raises(BadItemError, match="decompression_bomb"):
        header(png(5, 5, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(LIMITS.inflated + 1)))))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_size_is_the_size_after_exif_rotation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = header(saved(Image.new("RGB", (30, 20)), kind, exif=exif))
    assert (found.width, found.height) == ((20, 30) if orientation in range(5, 9) else (30, 20))
    assert found.orientation == (orientation if orientation in range(1, 9) else 1)


def test_format_is_told_by_content() -> None:
    kinds = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}
    assert {header(saved(Image.new("RGB", (3, 2)), kind)).format for kind in kinds} == set(kinds.values())


def test_a_bitmap_from_the_top_has_a_positive_height() -> None:
    assert header(bmp(4, -3)) == Header(4, 3, "bmp")


def test_exif_that_claims_gigabytes_is_not_parsed() -> None:
    tags = tiff([(t, 1, 60_000, 8) for t in range(1000, 5000)], bytes(16_000))
    segment = b"Exif\0\0" + tags
    bomb = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    cmyk = saved(Image.new("CMYK", (20, 20)), "JPEG")  # read by Pillow, which parses EXIF for the resolution
    tracemalloc.start()
    decode(cmyk[:2] + bomb + cmyk[2:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def samples() -> list[bytes]:
    colours = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    image = Image.fromarray(colours).resize((90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        saved(image, "JPEG", exif=exif),
        saved(image, "JPEG", progressive=True),
        saved(image.convert("CMYK"), "JPEG"),
        saved(image, "PNG", exif=exif),
        saved(image.convert("P"), "PNG", transparency=3),
        saved(image.convert("P"), "GIF", transparency=2),
        saved(image, "GIF", save_all=True, append_images=[image.rotate(9)]),
        saved(image, "WEBP", exif=exif),
        saved(image.convert("RGBA"), "WEBP", lossless=True),
        saved(image, "BMP"),
        saved(image, "TIFF", compression="tiff_lzw", exif=exif),
        saved(image, "TIFF", compression="jpeg"),
    ]


def mutated(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at = draw.randrange(min(len(changed), draw.choice((40, 200, 10_000))) or 1)
        kind = draw.randrange(4)
        if kind == 0:
            changed[at : at + 1] = bytes([draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))])
        elif kind == 1:
            changed[at : at + 4] = draw.randbytes(4)
        elif kind == 2:
            del changed[at : at + draw.randrange(1, 50)]
        else:
            changed[at:at] = changed[at // 2 :][: draw.randrange(1, 60)]
    return bytes(changed[: draw.choice((len(changed), draw.randrange(len(changed) + 1)))])


def test_mutated_files_give_pixels_of_the_header_s_size_or_an_error_value() -> None:
    draw, files, decoded = random.Random(0), samples(), 0
    for _ in range(6000):
        data = mutated(draw, draw.choice(files))
        try:
            found = header(data)
            if found.width * found.height > 1 << 20:  # allowed, but slow
                continue
            for read in (decode, decode_small):
                assert read(data).shape == (found.height, found.width, 3)
            decoded += 1
        except BadItemError:
            continue
    assert decoded > 500  # the mutations are not all fatal
