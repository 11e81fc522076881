"""T-MARS masking: the recorded cases, and what must hold of any picture and any boxes."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation.methods import mask_boxes, masked_share


def test_recorded_cases(shared):
    oracle = json.loads((shared / "oracles" / "tmars_masking_small.json").read_text())
    for case in oracle["cases"]:
        pixels, boxes = np.array(case["image"], np.uint8), case["boxes(r0,c0,r1,c1 half-open)"]
        masked = mask_boxes(pixels, boxes, pad=case["pad"], ring=case["ring"])
        assert masked.tolist() == case["masked"]
        assert masked_share(pixels.shape, boxes, pad=case["pad"]) == case["masked_area_share"]


SIDE = st.integers(-4, 24)
BOXES = st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=5)


@given(st.integers(0, 99), st.integers(1, 20), st.integers(1, 20), BOXES, st.integers(0, 3), st.integers(0, 4))
def test_equals_the_rule_pixel_by_pixel(seed, height, width, boxes, pad, ring):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)

    def inside(box, row, column, by):
        top, left, bottom, right = box
        return (
            max(top - pad, 0) - by <= row < min(bottom + pad, height) + by
            and max(left - pad, 0) - by <= column < min(right + pad, width) + by
            and max(top - pad, 0) < min(bottom + pad, height)
            and max(left - pad, 0) < min(right + pad, width)
        )

    places = [(r, c) for r in range(height) for c in range(width)]
    free = [p for p in places if not any(inside(box, *p, 0) for box in boxes)]
    found = mask_boxes(pixels, boxes, pad=pad, ring=ring)
    if not free:
        assert found is None
        return
    wanted = pixels.copy()
    for box in boxes:
        near = [p for p in free if inside(box, *p, ring)] or free
        colour = [int(np.floor(np.mean([int(pixels[p][k]) for p in near]) + 0.5)) for k in range(3)]
        for place in places:
            if inside(box, *place, 0):
                wanted[place] = colour
    assert (found == wanted).all()
    assert (found[tuple(zip(*free))] == pixels[tuple(zip(*free))]).all()


def test_without_boxes_nothing_changes_and_with_all_masked_there_is_no_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (mask_boxes(pixels, []) == pixels).all()
    assert mask_boxes(pixels, [(0, 0, 5, 7)]) is None
    assert masked_share(pixels.shape, [(0, 0, 5, 7), (1, 1, 2, 2)]) == 1
