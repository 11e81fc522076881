"""What a model can do: zero-shot classes, retrieval, a linear probe, with the interval that chance leaves open."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.shards.manifest import Release
from curation.trainer.checkpoints import local_folder
from curation.trainer.classes import accuracies, class_vectors
from curation.trainer.data import split as sides
from curation.trainer.data import uniform
from curation.trainer.distributed import own_device
from curation.trainer.ensembles import Ensemble, open_model, weighed
from curation.trainer.layouts import Pictures, release_pictures
from curation.trainer.outcome import Outcome, numbered, of_classes, of_retrieval, written
from curation.trainer.probe import linear_probe
from curation.trainer.retrieval import recalls, retrieval, ways
from curation.trainer.sets import CLASSIFICATION, MEAN_RECALL_1, PROBE, RETRIEVAL, EvaluationSet, open_sets, set_name

__all__ = ["evaluate", "retrieval"]


def evaluate(
    run: str,
    *,
    data: list[str] | None = None,
    release: str | None = None,
    holdout: float = 0.05,
    samples: int = 1000,
    split: str | None = None,
    classes: str | None = None,
    templates: str | None = None,
    probe: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    out: str | None = None,
    details: bool = False,
    device: str | None = None,
) -> dict[str, Any]:
    """Evaluate the model in RUN, a run's folder or any model name, on sets of labelled or captioned pictures.

    --data, once or more: a folder with a subfolder of pictures for each class, or with train/ and test/ of these; a
    tar or a folder of tars, with .cls (and --classes, a name a line) or .txt (a caption a line); CLIP_benchmark's
    layout, or a folder of several, such as DataComp's; a release or a pool. Labels give zero-shot classification, with
    --templates (a file, {c} for the name) or the set's own, averaged; captions give retrieval both ways. --probe adds
    a linear probe where there are classes, learnt on the train split, or on half of the pictures where there is none.
    --split is test, or else val.

    --release is one that a model was trained on: retrieval among the pairs that `train` with the same --holdout left
    out. Of a release and of a pool at most --samples pairs count, of the smallest uids, as recall depends on their
    number. Intervals are of --resamples bootstrap resamples of the pictures (95 %), drawn by --seed. --out gets
    evaluation.json, evaluation.md and evaluation.svg, and with --details hits.npz. RecipeError for what cannot be read.
    """
    if not data and release is None:
        raise RecipeError("evaluate: wanted --data or --release")
    device, out = device and own_device(device, 1), out and local_folder("--out", out)
    held = _held_out(release, holdout, samples) if release is not None else None
    settings = {"split": split, "classes": classes, "templates": templates, "limit": samples}
    sets = [found for path in data or [] for found in open_sets(path, **settings)]
    if probe and all(each.pictures.labels is None for each in sets):
        raise RecipeError(f"--probe: wanted a set with classes in --data, found none in {[each.name for each in sets]}")
    model = open_model(run, device)
    result: dict[str, Any] = {}
    outcomes = [one for each in sets for one in _outcomes(model, each, probe, device, (resamples, seed))]
    if held is not None:
        found = _retrieved(model, held, device, resamples, seed)
        result |= found.shown
        outcomes.append(_of_held_out(release, found))
    outcomes = numbered(outcomes)
    of_sets = outcomes[: len(outcomes) - (held is not None)]
    if of_sets:
        result |= {"model": model.name, "sets": [one.shown for one in of_sets]}
        result["average"] = float(np.mean([one.main for one in of_sets if one.shown["task"] != PROBE]))
    if out is not None:
        written(Path(out), result, outcomes, details)
    return result


def _held_out(release: str, holdout: float, samples: int) -> Pictures:
    """Pairs of the images that training left out."""
    held = sides(Release.open(release), holdout)[1]
    if not held:
        raise RecipeError(f"{release}: no image held out at --holdout {holdout}")
    return release_pictures(release, samples, sorted(held)[:samples])


def _of_held_out(release: str, found: Outcome) -> Outcome:
    """The pairs that training left out, as a set beside the others."""
    about = {"name": set_name(Path(release)), "split": "held out", "task": RETRIEVAL, "main_metric": MEAN_RECALL_1}
    return of_retrieval(about, found)


def _outcomes(
    model: Ensemble, each: EvaluationSet, probe: bool, device: str | None, drawn: tuple[int, int]
) -> list[Outcome]:
    """What the model does on one set: one outcome, or two with the probe."""
    told = ", no probe: captions and no classes" if probe and each.pictures.labels is None else ""
    print(f"{each.name}: {len(each.pictures.keys)} pictures of {each.split}{told}", file=sys.stderr, flush=True)
    about = {"name": each.name, "split": each.split, "main_metric": each.main_metric}
    if each.pictures.labels is None:
        found = _retrieved(model, each.pictures, device, *drawn)
        return [of_retrieval(about | {"task": RETRIEVAL}, found)]
    weights = model.weights(each.classes, device)
    vectors, read = _embedded(model, each.pictures)
    images, labels = weighed(vectors, weights)[read], each.pictures.labels[read]
    named = weighed([class_vectors(each.classes, each.templates, one.embed_texts) for one in model.models], weights)
    about |= {"classes": len(each.classes), "pictures": len(labels), "unreadable": int((~read).sum())}
    found = accuracies(images @ named.T, labels, resamples=drawn[0], seed=drawn[1])
    outcomes = [of_classes(about | {"task": CLASSIFICATION, "templates": len(each.templates)}, found)]
    if probe:
        keys = [key for key, there in zip(each.pictures.keys, read) if there]
        plain = weighed(vectors, np.ones(len(vectors)))[read]
        outcomes.append(_probed(model, each, (plain, labels, keys), about, drawn))
    return outcomes


def _embedded(model: Ensemble, pictures: Pictures) -> tuple[list[np.ndarray], np.ndarray]:
    """`Ensemble.pictures`; RecipeError where there is none or not one can be read."""
    if not pictures.pointers:
        told = "wanted pairs whose pictures are here (curate download, write_shards)"
        raise RecipeError(f"no picture to evaluate on: {told}")
    vectors, read = model.pictures(pictures.pointers)
    if not read.any():
        raise RecipeError(f"none of {len(read)} pictures can be read, the first: {pictures.pointers[0]}")
    return vectors, read


def _probed(
    model: Ensemble, each: EvaluationSet, test: tuple[np.ndarray, np.ndarray, list[str]], about: dict, drawn: tuple
) -> Outcome:
    """The linear probe of a set, which learns from its train split or else from half of its pictures."""
    images, labels, keys = test
    if each.train is not None:
        vectors, read = _embedded(model, each.train)
        learnt = weighed(vectors, np.ones(len(vectors)))[read]
        wanted, names = each.train.labels[read], [key for key, there in zip(each.train.keys, read) if there]
        about = about | {"train": "train", "train_pictures": len(wanted)}
    else:
        half = np.array([uniform("half", drawn[1], key) < 0.5 for key in keys])
        learnt, wanted, names = images[half], labels[half], [key for key, one in zip(keys, half) if one]
        images, labels = images[~half], labels[~half]
        about = about | {"train": "half of the pictures", "train_pictures": len(wanted), "pictures": len(labels)}
    fitted = linear_probe(learnt, wanted, names, images, len(each.classes), drawn[1])
    found = accuracies(fitted.scores, labels, prefix="lp_", resamples=drawn[0], seed=drawn[1])
    about = about | {"task": PROBE, "main_metric": f"lp_{each.main_metric}", "strength": fitted.strength}
    return of_classes(about | {"tried": fitted.tried}, found)


def _retrieved(model: Ensemble, pictures: Pictures, device: str | None, resamples: int, seed: int) -> Outcome:
    """`recalls` of the pictures that can be read, each with the captions it has, and how many could not."""
    vectors, read = _embedded(model, pictures)
    there = np.array([bool(one and texts) for texts, one in zip(pictures.captions, read)])
    if not there.any():
        raise RecipeError(f"none of {int(read.sum())} pictures that can be read has a caption: {pictures.pointers[0]}")
    captions = [texts for texts, one in zip(pictures.captions, there) if one]
    owners = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
    texts = [text for each in captions for text in each]
    weights = model.weights(texts, device)
    by_image, by_text = ways(weighed(vectors, weights)[there], weighed(model.texts(texts), weights), owners)
    found = recalls(by_image, by_text, owners, resamples=resamples, seed=seed)
    hits = {"by_image": by_image, "by_text": by_text, "owners": owners}
    return Outcome(found | {"unreadable": int((~read).sum())}, hits)
