"""Blur, entropy, sameness and light of pictures: known pictures, and what must change them in which direction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from curation.signals import SIGNALS

NAMES = ("image_blur", "image_entropy", "image_solid_share", "image_dark_share", "image_bright_share")


def noise(seed, height=96, width=128):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def value(name, pixels):
    return SIGNALS[name]([pixels]).to_pylist()[0]


@given(st.integers(0, 20))
def test_blurring_raises_blur_step_by_step(seed):
    picture = Image.fromarray(noise(seed, 24, 32)).resize((256, 192), Image.Resampling.NEAREST)
    found = [value("image_blur", np.asarray(picture.filter(ImageFilter.GaussianBlur(r)))) for r in (0, 1, 2, 4)]
    assert found == sorted(found) and found[0] < 0.2 and 0.5 < found[-1] <= 1


def test_blur_sees_motion_in_one_direction():
    picture = noise(3).astype(float)
    kernel = np.ones(15) / 15
    moved = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), 1, picture).astype(np.uint8)
    assert value("image_blur", moved) > value("image_blur", noise(3)) + 0.2


def test_a_picture_of_one_colour():
    grey = np.full((40, 50, 3), 128, np.uint8)
    assert [value(name, grey) for name in NAMES] == [None, 0.0, 1.0, 0.0, 0.0]
    assert value("image_dark_share", np.zeros((3, 3, 3), np.uint8)) == 1
    assert value("image_bright_share", np.full((3, 3, 3), 255, np.uint8)) == 1


def test_halves():
    half = np.zeros((20, 20, 3), np.uint8)
    half[:10] = 255
    assert [value(name, half) for name in NAMES[1:]] == [1.0, 0.5, 0.5, 0.5]


def test_noise_has_all_levels():
    assert value("image_entropy", noise(0, 512, 512)) > 7.4
    assert value("image_solid_share", noise(0, 512, 512)) < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_missing_pictures_are_null_and_rows_do_not_depend_on_each_other(name):
    alone = value(name, noise(1))
    assert SIGNALS[name]([None, noise(2), noise(1), None]).to_pylist() == [None, value(name, noise(2)), alone, None]
    assert SIGNALS[name]([]).to_pylist() == []


@pytest.mark.parametrize("name", NAMES)
def test_resolution_changes_little(name):
    low = Image.fromarray(noise(5, 24, 32)).resize((512, 384), Image.Resampling.BICUBIC)
    high = low.resize((2048, 1536), Image.Resampling.BICUBIC)
    assert value(name, np.asarray(high)) == pytest.approx(value(name, np.asarray(low)), abs=0.05)


def test_one_pixel_and_one_row():
    for shape in ((1, 1, 3), (1, 30, 3), (30, 1, 3)):
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        for name in NAMES[1:]:
            assert value(name, pixels) is not None
        assert value("image_blur", pixels) is None or 0 <= value("image_blur", pixels) <= 1
