"""The arms: what each trains on. A recipe of the package with what scales with the pool set, or the pool itself."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from planting.filters import has_ocr

from curation.decode import decode_small
from curation.models.clip import load
from proving.inputs import CLEAN_SEED
from proving.scene import scene
from proving.things import Things

POOL, RANDOM, FULL, KNOWN = "uncurated pool", "random subset", "full", "no faults (known)"
FIRST = (POOL, RANDOM, FULL)  # what the headline is about: done before the others
READABLE = """# The pool as it is, less what no trainer can open
[[stage]]
name = "readable"
run = "select_subset"
with.keep.image_solid_share = { max = 1.0 }

[[stage]]
run = "write_shards"
"""
PASSING = 0.9  # share of clean scenes of another seed that a threshold for another model is moved to
LOOKED_AT = 400  # of those scenes


class Arm(NamedTuple):
    """A recipe by name or path and its changes; "" where it is part of the uncurated pool's release."""

    name: str
    recipe: str
    changes: tuple[str, ...] = ()
    note: str = ""


def common(work: Path, clip: str, t: int) -> list[Arm]:
    """The arms of any pool in the order they are trained in, recipes as packaged but for the model and t."""
    readable = work / "readable.toml"
    readable.write_text(READABLE)
    scored, balance = (f"signals.clip={clip}",), (f"balance_entries.t={t}",)
    found = [
        Arm(POOL, str(readable), (), "what decodes of it"),
        Arm(RANDOM, "", (), "of the pool, as many as `full` keeps"),
        Arm(FULL, "full", (*scored, *balance), "t scaled with the pool"),
        Arm("metaclip", "metaclip", balance, "t scaled with the pool"),
        Arm("datacomp_clip", "datacomp_clip", scored),
        Arm("datacomp_basic", "datacomp_basic"),
        Arm("laion400m", "laion400m", scored),
        Arm("number_masked", "number_masked", scored),
        Arm("wfpp", "wfpp", (), "its last epoch is on all pairs, within the same samples seen"),
        Arm("semdedup", "semdedup", scored),
        Arm("scaling_down", "scaling_down", scored, "on its phase, the top 40 % by score"),
        Arm("whitened", "whitened", scored),
    ]
    return [*found, *([Arm(name, name, scored) for name in ("tmars", "parrot_free")] if has_ocr() else [])]


def scene_arms(work: Path, sample: Path, clip: str, pairs: int, known: Things, threshold: float) -> list[Arm]:
    """The arms of a pool of scenes: what depends on the size of pictures, or holds for one model alone, is moved to
    what does the same here, and files that recipes read are written to `work`.
    """
    found = common(work, clip, max(20, pairs // len(known.names)))
    scores, cut = f"scores.keep.clip_score.min={threshold:.4f}", f"score at least {threshold:.3f}"
    moved = {
        "datacomp_basic": (("basic.keep.image_min_side_px.min=64",), "64 px for 200"),
        "laion400m": ((scores, "pixels.keep.image_bytes.min=1000"), f"{cut}; 1,000 bytes for 5,000"),
        "parrot_free": ((scores,), cut),
    }
    for place, arm in enumerate(found):
        changes, note = moved.get(arm.name, ((), arm.note))
        found[place] = arm._replace(changes=(*arm.changes, *changes), note=note)
    wordnet = f"inputs.wordnet={sample / 'packages/wordnet-base/usr/share/wordnet'}"
    text = (wordnet, f"inputs.synsets={_synsets(work, sample, known)}")
    prompts = (f"signals.clip={clip}", f"inputs.prompts={_prompts(work, known)}")
    more = [
        Arm(KNOWN, "", (), "the pool's whole pairs, numbers among words included: what knowing the faults would give"),
        Arm("datacomp_text", "datacomp_text", text, "synsets of the test's classes"),
        Arm("clipcov", "clipcov", prompts, "prompts of the test's classes"),
    ]
    return [*found[: len(FIRST)], *more, *found[len(FIRST) :]]


def _prompts(work: Path, known: Things) -> Path:
    path = work / "prompts.txt"
    path.write_text("".join(f"a drawing of a {name}\n" for name in known.names))
    return path


def _synsets(work: Path, sample: Path, known: Things) -> Path:
    """The ids of the first noun synsets of the things' last words that are nouns, as ImageNet's are of its classes."""
    first: dict[str, str] = {}
    with (sample / "packages/wordnet-base/usr/share/wordnet/index.noun").open(encoding="ascii") as file:
        for line in file:
            lemma, *rest = line.split()
            offsets = [field for field in rest if len(field) == 8 and field.isdigit()]
            if offsets:
                first[lemma.replace("_", " ")] = offsets[0]
    names = {name if name in first else name.split()[-1] for name in known.names}
    path = work / "synsets.txt"
    path.write_text("".join(f"n{first[name]}\n" for name in sorted(names & first.keys())))
    return path


def score_threshold(clip: str, known: Things, seed: int) -> float:
    """The clip_score that PASSING of the clean scenes of another seed reach: what 0.3 is for a real model."""
    found = [scene(known, seed + CLEAN_SEED, number) for number in range(LOOKED_AT)]
    model = load(clip)
    images = model.embed_images([decode_small(one.jpeg) for one in found])
    texts = model.embed_texts([one.caption for one in found])
    return float(np.quantile((images * texts).sum(axis=1), 1 - PASSING))
