"""Faults of pictures. Each takes the encoded picture, the caption and a random generator of its own pair, and gives
the name of what was done and the encoded faulty picture."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from corpora.rendered import FONTS, font
from PIL import Image, ImageDraw

Faulty = tuple[str, bytes]
LETTERED_SIDE = 256  # px: smaller pictures are enlarged before text is drawn into them
LETTERS = (0.05, 0.12)  # height of the letters over the longer side
LEAST_LETTERS = 12  # px
WATERMARKS = ("SAMPLE", "PREVIEW", "stockphotos.example", "(c) 2019", "DO NOT COPY")
SIDES = (64, 640)  # px of solid pictures
HTML = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"


def opened(data: bytes) -> Image.Image:
    """RGB, on white where it is transparent."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def saved(image: Image.Image, kind: str = "PNG", quality: int = 90) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **({} if kind in ("PNG", "GIF") else {"quality": quality}))
    return file.getvalue()


def lettered(data: bytes, caption: str, draw: np.random.Generator) -> Faulty:
    """The caption written into the picture: plain, outlined or on a plate, at the top, middle or bottom."""
    image = opened(data)
    zoom = max(1.0, LETTERED_SIDE / max(image.size))
    image = image.resize(tuple(max(1, round(side * zoom)) for side in image.size), Image.Resampling.BICUBIC)
    face, height = str(draw.choice(FONTS)), int(max(image.size) * draw.uniform(*LETTERS))
    pen, room = ImageDraw.Draw(image), image.width * 0.94
    while height > LEAST_LETTERS and max(pen.textlength(word, font(face, height)) for word in caption.split()) > room:
        height -= 1
    text = "\n".join(_lines(caption, lambda line: pen.textlength(line, font(face, max(height, LEAST_LETTERS))) <= room))
    letters, style = font(face, max(height, LEAST_LETTERS)), str(draw.choice(["outlined", "plate"]))
    left, top, right, bottom = pen.multiline_textbbox((0, 0), text, letters)
    place = (round((image.width - right) / 2), round((image.height - bottom) * draw.choice([0.03, 0.5, 0.97])))
    if style == "plate":
        box = (place[0] + left - 4, place[1] + top - 4, place[0] + right + 4, place[1] + bottom + 4)
        pen.rectangle(box, fill="white")
        pen.multiline_text(place, text, "black", letters)
    else:
        pen.multiline_text(place, text, "white", letters, stroke_width=max(1, height // 10), stroke_fill="black")
    return style, saved(image)


def _lines(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Words in as few lines as they fit into, one word at least in each."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        lines[-1:] = [longer] if lines and fits(longer) else [*lines[-1:], word]
    return lines


def edited(data: bytes, caption: str, draw: np.random.Generator) -> Faulty:
    """The same picture cropped, resized, as a JPEG of low quality, mirrored, or with a watermark."""
    image, kind = opened(data), str(draw.choice(list(EDITS)))
    return kind, EDITS[kind](image, draw)


def _cropped(image: Image.Image, draw: np.random.Generator) -> bytes:
    """2 to 8 % off each side."""
    left, top, right, bottom = draw.uniform(0.02, 0.08, 4) * (image.size * 2)
    box = (round(left), round(top), round(image.width - right), round(image.height - bottom))
    return saved(image.crop(box) if box[2] > box[0] and box[3] > box[1] else image)


def _resized(image: Image.Image, draw: np.random.Generator) -> bytes:
    zoom = float(draw.choice([0.5, 0.75, 1.5]))
    return saved(image.resize(tuple(max(1, round(side * zoom)) for side in image.size), Image.Resampling.LANCZOS))


def _compressed(image: Image.Image, draw: np.random.Generator) -> bytes:
    return saved(image, "JPEG", int(draw.integers(30, 71)))


def _mirrored(image: Image.Image, draw: np.random.Generator) -> bytes:
    return saved(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def _watermarked(image: Image.Image, draw: np.random.Generator) -> bytes:
    """A half-transparent grey line of text across the middle or in a corner."""
    layer = Image.new("RGBA", image.size)
    pen, letters = ImageDraw.Draw(layer), font("DejaVuSans-Bold", max(8, image.width // 12))
    place = [(0.5, 0.5, "mm"), (0.97, 0.97, "rs")][int(draw.integers(2))]
    at = (image.width * place[0], image.height * place[1])
    pen.text(at, str(draw.choice(WATERMARKS)), (128, 128, 128, 128), letters, anchor=place[2])
    return saved(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"))


EDITS: dict[str, Callable[[Image.Image, np.random.Generator], bytes]] = {
    "crop": _cropped,
    "resize": _resized,
    "jpeg": _compressed,
    "mirror": _mirrored,
    "watermark": _watermarked,
}


def solid(data: bytes, caption: str, draw: np.random.Generator) -> Faulty:
    """One colour all over, in a size and a format drawn."""
    size, colour = draw.integers(*SIDES, 2), tuple(int(v) for v in draw.integers(0, 256, 3))
    kind = str(draw.choice(["PNG", "JPEG", "WEBP", "GIF"]))
    return kind.lower(), saved(Image.new("RGB", tuple(int(v) for v in size), colour), kind)


def broken(data: bytes, caption: str, draw: np.random.Generator) -> Faulty:
    """A file that is no picture, or no longer one."""
    kind = str(draw.choice(list(BREAKS)))
    return kind, BREAKS[kind](data, draw)


def _half(data: bytes, kind: str) -> bytes:
    whole = saved(opened(data), kind)
    return whole[: len(whole) // 2]


def _bomb(data: bytes, draw: np.random.Generator) -> bytes:
    """A PNG whose header claims 60,000 x 60,000 px."""
    whole = bytearray(saved(opened(data)))
    whole[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(whole)


BREAKS: dict[str, Callable[[bytes, Any], bytes]] = {
    "cut png": lambda data, draw: _half(data, "PNG"),
    "cut jpeg": lambda data, draw: _half(data, "JPEG"),
    "cut webp": lambda data, draw: _half(data, "WEBP"),
    "only a header": lambda data, draw: saved(opened(data), "JPEG")[:120],
    "html": lambda data, draw: HTML + f"<!-- {draw.integers(1 << 30)} -->".encode(),
    "empty": lambda data, draw: b"",
    "noise": lambda data, draw: draw.bytes(4000),
    "wrong header": lambda data, draw: b"\xff\xd8\xff\xe0" + saved(opened(data))[4:],
    "no header": lambda data, draw: bytes(64) + saved(opened(data), "JPEG")[64:],
    "zeros": lambda data, draw: saved(opened(data))[:60] + bytes(int(draw.integers(500, 4000))),
    "bomb": _bomb,
}
