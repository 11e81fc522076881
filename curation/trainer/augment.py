"""RandAugment (arXiv:1909.13719) from uniforms: Scaling (Down) CLIP (arXiv:2404.08197) trains on it with wider crops,
and reaches plain CLIP with half the data. No flips: captions know left from right.
"""

from collections.abc import Callable, Sequence

from PIL import Image, ImageEnhance, ImageOps

OPERATIONS = 2  # a picture; N of section 4.3 of RandAugment, for ImageNet
STRENGTH = 9 / 30  # M of the same section, over its largest
WIDE_AREA = (0.4, 1.0)  # of the crop, as a share; an assumption: less shows too little of what the caption tells
GREY = (124, 116, 104)  # fills what a shift uncovers: the mean of ImageNet
DRAWS = 2 * OPERATIONS  # uniforms a picture: which operation, and which way


def _shear(image: Image.Image, across: float, down: float) -> Image.Image:
    matrix = (1, across, -across * image.height / 2, down, 1, -down * image.width / 2)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=GREY)


def _shift(image: Image.Image, right: float, down: float) -> Image.Image:
    matrix = (1, 0, right * image.width, 0, 1, down * image.height)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GREY)


def _enhanced(kind: Callable) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, amount: kind(image).enhance(1 + 0.9 * amount)


# Each takes a picture and an amount in [-1, 1]; ranges are those of table 6 of AutoAugment (arXiv:1805.09501).
KINDS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, amount: image,
    lambda image, amount: ImageOps.autocontrast(image),
    lambda image, amount: ImageOps.equalize(image),
    lambda image, amount: image.rotate(30 * amount, Image.Resampling.BILINEAR, fillcolor=GREY),
    lambda image, amount: ImageOps.solarize(image, round(256 * (1 - abs(amount)))),
    lambda image, amount: ImageOps.posterize(image, 8 - round(4 * abs(amount))),
    _enhanced(ImageEnhance.Color),
    _enhanced(ImageEnhance.Contrast),
    _enhanced(ImageEnhance.Brightness),
    _enhanced(ImageEnhance.Sharpness),
    lambda image, amount: _shear(image, 0.3 * amount, 0),
    lambda image, amount: _shear(image, 0, 0.3 * amount),
    lambda image, amount: _shift(image, 150 / 331 * amount, 0),
    lambda image, amount: _shift(image, 0, 150 / 331 * amount),
)


def rand_augment(image: Image.Image, uniforms: Sequence[float], strength: float = STRENGTH) -> Image.Image:
    """An RGB picture after two operations drawn by DRAWS uniforms in [0, 1); of its size.

    >>> rand_augment(Image.new("RGB", (4, 4)), [0.0, 0.3, 0.0, 0.9]).getpixel((0, 0))
    (0, 0, 0)
    """
    for which, way in zip(uniforms[::2], uniforms[1::2]):
        image = KINDS[int(which * len(KINDS))](image, strength if way < 0.5 else -strength)
    return image
