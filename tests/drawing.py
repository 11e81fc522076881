"""Small real pictures for tests, drawn with Pillow."""

import csv
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "black", "white"]
SHAPES = ["circle", "square", "triangle"]
COUNT = 24


def draw(number: int, size: tuple[int, int] = (160, 120)) -> tuple[Image.Image, str]:
    """Picture `number` and its caption."""
    colour, shape, ground = COLOURS[number % 8], SHAPES[number // 8 % 3], COLOURS[(number + 3) % 8]
    image = Image.new("RGB", size, ground)
    pen, box = ImageDraw.Draw(image), (40 + number, 20, 100 + number, 90)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(box[0], box[3]), (box[2], box[3]), (70 + number, box[1])], fill=colour)
    return image, f"a {colour} {shape} on a {ground} background, drawing {number}"


def draw_pool(folder: Path) -> Path:
    """Write the pictures and `pictures.tsv`; see the fixture `pictures` for the odd ones."""
    rows = []
    for number in range(COUNT):
        image, caption = draw(2 if number == 3 else number)
        name = f"{number:02d}.{'png' if number == 3 else 'jpg'}"
        image.save(folder / name, quality=95)
        if number == 5:
            data = (folder / name).read_bytes()
            (folder / name).write_bytes(data[: len(data) // 2])
        captions = [caption, f"picture of {caption}", f"see {caption}"] if number == 7 else [caption]
        rows += [(name, text, f"{number}.{i}") for i, text in enumerate(captions)]
    with open(folder / "pictures.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([("path", "caption", "key"), *rows])
    return folder
