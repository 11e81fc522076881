"""PDQ as others' lists have it: near the published hasher's own, and what it does and does not survive."""

import io
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from PIL import Image, ImageDraw

from curation.images import ImageBatch
from curation.signals import SIGNALS


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    import matplotlib

    return Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB")


def hashed(image: Image.Image, kind: str = "PNG", **settings: int) -> np.ndarray | None:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    [found] = SIGNALS["image_pdq"](ImageBatch([file.getvalue()]).pixels_bounded).to_pylist()
    return None if found is None else np.unpackbits(np.frombuffer(found, np.uint8))


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int((one != other).sum())


def test_a_small_picture_has_the_hash_of_the_published_code(photograph: Image.Image) -> None:
    small = photograph.resize((400, 470))
    wanted, quality = pdqhash.compute(np.asarray(small))
    assert quality == 100 and distance(hashed(small), wanted) == 0


def test_a_large_one_is_near_its_hash_at_full_resolution(photograph: Image.Image) -> None:
    large = photograph.resize((2048, 2400), Image.Resampling.BICUBIC)
    wanted, _ = pdqhash.compute(np.asarray(large))
    assert distance(hashed(large, "JPEG", quality=90), wanted) <= 16  # scaled decode and squeeze; 31 is a match
    [coarse] = SIGNALS["image_phash"]([np.asarray(large)]).to_pylist()
    assert len(coarse) == 32


def test_what_it_survives_and_what_not(photograph: Image.Image) -> None:
    """The authors' own words: format, quality and size yes; crops, turns and mirrors no."""
    own, (width, height) = hashed(photograph), photograph.size
    marked = photograph.copy()
    ImageDraw.Draw(marked).text((20, height - 40), "sample", fill="white")
    same = [
        hashed(photograph, "JPEG", quality=30),
        hashed(photograph.resize((width // 2, height // 2))),
        hashed(photograph.resize((width * 2, height * 2))),
        hashed(photograph.convert("L")),
        hashed(photograph.point(lambda value: min(255, value * 1.2))),
        hashed(marked),
    ]
    assert max(distance(own, one) for one in same) <= 31
    others = [
        hashed(photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        hashed(photograph.transpose(Image.Transpose.ROTATE_90)),
        hashed(photograph.crop((width // 5, height // 5, width, height))),
    ]
    assert min(distance(own, one) for one in others) > 31


def test_pictures_without_detail_have_none() -> None:
    assert hashed(Image.new("RGB", (300, 300), "red")) is None
    assert hashed(Image.linear_gradient("L").convert("RGB")) is None
    assert hashed(Image.new("RGB", (1, 1))) is None and hashed(Image.new("RGB", (3, 2000))) is None
    assert SIGNALS["image_pdq"]([None]).to_pylist() == [None] and SIGNALS["image_pdq"]([]).to_pylist() == []
