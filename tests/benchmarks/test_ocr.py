"""The OCR benchmark: what is drawn is what is asked for, and words are counted as they are found."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import ocr
from corpora.rendered import HEIGHTS, Picture, Word, rendered


def test_pictures_are_seeded_and_as_large_as_asked_for():
    one, again, other = rendered(3), rendered(3), rendered(4)
    assert (one.pixels == again.pixels).all() and one.words == again.words != other.words
    assert one.pixels.shape[1] == 256 and rendered(3, 1024).pixels.shape[1] == 1024
    words = [word for seed in range(12) for word in rendered(seed).words]
    assert len(words) > 12 and all(word.height in HEIGHTS and word.text.isalpha() for word in words)


def test_each_drawn_word_is_found_once_and_others_are_extra():
    blank = np.zeros((1, 1, 3), np.uint8)
    pictures = [Picture(blank, [Word("Harbour", 8), Word("harbour", 8), Word("PIER", 12)]), Picture(blank, [])]
    told = ocr.found(pictures, [["HARBOUR pier", "lake"], ["sea"]])
    assert told["hits"] == [True, False, True] and told["recall"] == 0.6667 and told["extra"] == 2
    assert told["by_height_px"] == {"8": 0.5, "12": 1.0}


def test_words_of_one_side_alone_are_listed():
    pictures = [Picture(np.zeros((1, 1, 3), np.uint8), [Word("one", 8), Word("two", 8), Word("three", 10)])]
    assert ocr.differences(pictures, [True, False, True], [True, True, False]) == [
        {"found_only_by": "ours", "words": 1, "examples": ["three (10 px)"]},
        {"found_only_by": "peer", "words": 1, "examples": ["two (8 px)"]},
    ]
    assert ocr.differences(pictures, [True] * 3, [True] * 3) == []
