"""Pictures per second of `text_boxes` and `image_text` beside RapidOCR at its defaults, and the words that each finds.

    python benchmarks/ocr.py [--pictures N] [--timed N] [--large N] [--rounds N]

Known words are drawn into pictures 256 px wide: eight fonts, sizes of 8 to 48 px, colours and grounds at random. First
both read all of them: a word is found when it is among the words read, in any case. `recall` is the share of drawn
words found, `extra` the words read that are not there; `equal` lists words that only one side finds. Then both are
timed in turn, in this process, on one thread; a rate is the median over the rounds of pictures per second of thread CPU
time, on decoded pixels. Ours is timed as the signals are called, with and without reading; the peer is RapidOCR() with
one thread and nothing else changed. Pictures 1024 px wide, in files, show what seeing them smaller costs (`large`):
decoding is included there. The last line on stdout is one JSON object.
"""

import argparse
import io
import json
import os
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from corpora.rendered import Picture, rendered
from paired import in_turn, machine, say, thread_seconds
from PIL import Image

from curation.decode import decode, decode_bounded
from curation.signals import SIGNALS

WORD = re.compile(r"[^\W_]+")  # as parrot_share takes them
SIDES = (256, 384, 512, 768)  # px of the longer side that large pictures are seen at
LARGE_HEIGHTS = (10, 12, 16, 20, 24, 32, 48, 96)  # px, in pictures 1024 px wide
TARGETS = {"text_boxes": 40, "image_text": 15}  # pictures per second and core at 256 px
LIBRARY_WAS = 5  # pictures per second of the library's defaults, as measured for the target
SHOWN = 5  # words that one side alone finds


def sizes(pictures: Sequence[np.ndarray]) -> tuple[pa.Array, pa.Array]:
    """Widths and heights, as signals give them."""
    shapes = [picture.shape for picture in pictures]
    return pa.array([s[1] for s in shapes], pa.int32()), pa.array([s[0] for s in shapes], pa.int32())


def boxes(pictures: list[np.ndarray], full: tuple[pa.Array, pa.Array], side: int) -> pa.Array:
    """`text_boxes` of some pictures; `full`: the sizes of their full resolution."""
    regions = SIGNALS["text_regions"](pictures, *full, ocr_side_px=side)
    SIGNALS["text_boxes"](regions, *full)
    return regions


def texts(pictures: list[np.ndarray], full: tuple[pa.Array, pa.Array], side: int) -> list[list[str]]:
    """`image_text` of some pictures, and `text_boxes` on the way."""
    regions = boxes(pictures, full, side)
    readings = SIGNALS["text_readings"](pictures, *full, regions)
    return SIGNALS["image_text"](readings).to_pylist()


def library() -> Callable[[list[np.ndarray]], list[list[str]]]:
    """RapidOCR at its defaults on one thread."""
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(1)
    one = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    engine = RapidOCR(params=one | {"Global.log_level": "error"})
    # It takes arrays as OpenCV reads them: blue first.
    return lambda pictures: [list(engine(np.ascontiguousarray(p[..., ::-1])).txts or ()) for p in pictures]


def found(pictures: Sequence[Picture], read: list[list[str]]) -> dict[str, Any]:
    """Recall over all words and by height, words read that are not there, and which drawn words are found."""
    hits: list[bool] = []
    extra = 0
    for picture, lines in zip(pictures, read, strict=True):
        left = Counter(word for line in lines for word in WORD.findall(line.lower()))
        for word in picture.words:
            hits.append(left[word.text.lower()] > 0)
            left[word.text.lower()] -= hits[-1]
        extra += sum(left.values())
    heights = [word.height for picture in pictures for word in picture.words]
    by_height = {h: [hit for hit, own in zip(hits, heights) if own == h] for h in sorted(set(heights))}
    shares = {str(h): round(statistics.mean(each), 3) for h, each in by_height.items()}
    return {"recall": round(statistics.mean(hits), 4), "extra": extra, "by_height_px": shares, "hits": hits}


def differences(pictures: Sequence[Picture], ours: list[bool], peer: list[bool]) -> list[dict]:
    """Counts of words that one side alone finds, with examples."""
    words = [f"{word.text} ({word.height} px)" for picture in pictures for word in picture.words]
    only = [[w for w, a, b in zip(words, one, other) if a and not b] for one, other in ((ours, peer), (peer, ours))]
    sides = zip(("ours", "peer"), only)
    return [{"found_only_by": side, "words": len(each), "examples": each[:SHOWN]} for side, each in sides if each]


def large(count: int, peer: Callable) -> dict[str, Any]:
    """Recall and rate on JPEG files 1024 px wide, by the side that they are seen at; of the peer at its defaults."""
    pictures = [rendered(seed, 1024, LARGE_HEIGHTS) for seed in range(count)]
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture.pixels).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    full = sizes([picture.pixels for picture in pictures])
    ways = {str(side): lambda side=side: texts([decode_bounded(f) for f in files], full, side) for side in SIDES}
    ways["peer"] = lambda: peer([decode(f) for f in files])
    results = {}
    for name, way in ways.items():
        say(f"{count} pictures of 1024 px: {name}")
        read: list = []
        seconds = thread_seconds(lambda way=way, read=read: read.extend(way()))
        results[name] = found(pictures, read) | {"per_second": round(count / seconds, 2)}
        del results[name]["hits"]
    return results


def benchmark(count: int, timed: int, count_large: int, rounds: int) -> dict:
    """The whole measurement."""
    say(f"drawing {count} pictures")
    pictures = [rendered(seed) for seed in range(count)]
    pixels = [picture.pixels for picture in pictures]
    peer, side = library(), SIGNALS["text_regions"].spec.settings["ocr_side_px"]
    say("reading all of them twice")
    ours_found = found(pictures, texts(pixels, sizes(pixels), side))
    peer_found = found(pictures, peer(pixels))
    some = pixels[:timed]
    full = sizes(some)
    ways = {
        "text_boxes": lambda: boxes(some, full, side),
        "image_text": lambda: texts(some, full, side),
        "peer": lambda: peer(some),
    }
    say(f"{rounds} rounds on {len(some)} of them")
    seconds = in_turn(ways, rounds, thread_seconds)
    rates = {name: len(some) / statistics.median(values) for name, values in seconds.items()}
    by_round = [b / a for a, b in zip(seconds["image_text"], seconds["peer"], strict=True)]
    unequal = differences(pictures, ours_found.pop("hits"), peer_found.pop("hits"))
    words = sum(len(picture.words) for picture in pictures)
    return {
        "name": "ocr",
        "ratio": round(rates["image_text"] / rates["peer"], 2),
        "ours": round(rates["image_text"], 1),
        "peer": round(rates["peer"], 2),
        "unit": "pictures per second of thread CPU time, boxes and text",
        "input": f"{count} pictures of 256 px, {words} drawn words; {len(some)} of them timed",
        "equal": unequal or True,
        "ratio_range": [round(min(by_round), 2), round(max(by_round), 2)],
        "text_boxes_per_second": round(rates["text_boxes"], 1),
        "image_text_per_second": round(rates["image_text"], 1),
        "targets": TARGETS,
        "library_when_targets_were_set": LIBRARY_WAS,
        "recall": {"ours": ours_found, "peer": peer_found},
        "large": large(count_large, peer) if count_large else None,
        "rounds": rounds,
        "machine": machine("rapidocr", "onnxruntime", "opencv-python-headless"),
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=300, help="whose words are compared")
    parser.add_argument("--timed", type=int, default=24, help="of them, in every round")
    parser.add_argument("--large", type=int, default=60, help="pictures of 1024 px; 0: none")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ["CURATION_THREADS"] = "1"
    print(json.dumps(benchmark(args.pictures, args.timed, args.large, args.rounds)))


if __name__ == "__main__":
    main()
