"""Evaluation sets: what --data names, told apart by what lies there, under the names that CLIP_benchmark gives them."""

import re
from pathlib import Path
from typing import NamedTuple

from curation.errors import RecipeError
from curation.pool import POOL
from curation.shards.mark import MARK
from curation.trainer.classes import TEMPLATES
from curation.trainer.layouts import Pictures, class_folders, pool_pictures, release_pictures, tar_pictures

CLASSIFICATION, RETRIEVAL, PROBE = "zeroshot_classification", "zeroshot_retrieval", "linear_probe"
# The files of CLIP_benchmark's webdataset layout: DIR/SPLIT/{0..n}.tar with nshards.txt, and beside the splits
CLASSES, PROMPTS, TYPE, SHARDS = (
    "classnames.txt",
    "zeroshot_classification_templates.txt",
    "dataset_type.txt",
    "nshards.txt",
)
MEAN_RECALL_1 = "mean_recall@1"
TRAIN, SPLITS = "train", ("test", "val", "validation")
# DataComp's main metric (arXiv:2304.14108, tasklist.yml) where it is not acc1.
MEAN_RECALL = ("vtab/caltech101", "vtab/flowers", "vtab/pets", "fgvc_aircraft")
WAYS = (
    "wanted a folder with a subfolder of pictures for each class; such folders in train/ and test/; tars with .cls and "
    "class names, or with .txt; CLIP_benchmark's layout, or a folder of several; a release; a pool"
)


class EvaluationSet(NamedTuple):
    """One set. `classes` are names in the order of the labels, `train` the split that a linear probe learns from."""

    name: str
    split: str
    pictures: Pictures
    classes: list[str]
    templates: tuple[str, ...]
    train: Pictures | None = None

    @property
    def main_metric(self) -> str:
        """The metric that DataComp averages over sets."""
        if self.pictures.labels is None:
            return MEAN_RECALL_1
        return "mean_per_class_recall" if self.name in MEAN_RECALL else "acc1"


def open_sets(
    path: str, *, split: str | None, classes: str | None, templates: str | None, limit: int
) -> list[EvaluationSet]:
    """The sets at a path; RecipeError where there is none or something of one is missing.

    `classes` and `templates` are files, a line each, for sets that bring none; `limit` is for releases and pools.
    """
    folder = Path(path)
    if (folder / MARK).is_file():
        return [EvaluationSet(set_name(folder), "release", release_pictures(path, limit), [], ())]
    if (folder / POOL).is_file():
        return [EvaluationSet(set_name(folder), "pool", pool_pictures(path, limit), [], ())]
    if not folder.exists():
        raise RecipeError(f"--data {path}: no such file or folder; {WAYS}")
    inside = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    several = [each for each in inside if _is_benchmark(each)]
    if several and not _is_benchmark(folder):
        return [_benchmark_set(each, split, classes, templates) for each in several]
    if _is_benchmark(folder):
        return [_benchmark_set(folder, split, classes, templates)]
    return [_plain_set(folder, split, classes, templates)]


def set_name(folder: Path) -> str:
    """The name of a set from its folder's, as DataComp and CLIP_benchmark write them.

    >>> set_name(Path("wds_vtab-caltech101_test")), set_name(Path("data/my flowers")), set_name(Path("a/cats-1.tar"))
    ('vtab/caltech101', 'my flowers', 'cats-1')
    """
    name = folder.absolute().name.removesuffix(".tar")
    found = re.fullmatch(r"wds_(.+?)(_test|_val)?", name)
    return found[1].replace("-", "/", 1) if found else name


def _is_benchmark(folder: Path) -> bool:
    named = any((folder / name).is_file() for name in (CLASSES, TYPE))
    return any((folder / split / SHARDS).is_file() for split in SPLITS) or (
        named and _split_folder(folder, None) is not None
    )


def _split_folder(folder: Path, split: str | None) -> Path | None:
    """The folder of the wanted split, or of the first of SPLITS that is there."""
    return next((folder / each for each in ((split,) if split else SPLITS) if (folder / each).is_dir()), None)


def _benchmark_set(folder: Path, split: str | None, classes: str | None, templates: str | None) -> EvaluationSet:
    asked = _split_folder(folder, split)
    if asked is None:
        raise RecipeError(f"--data {folder}: no split {split or ' or '.join(SPLITS)}; found {_names(folder)}")
    pictures = tar_pictures(_tars(asked))
    if pictures.labels is None:
        return EvaluationSet(set_name(folder), asked.name, pictures, [], ())
    names = lines(folder / CLASSES) if (folder / CLASSES).is_file() else class_names(classes, folder)
    own = folder / PROMPTS
    prompts = lines(own) if own.is_file() else lines(Path(templates)) if templates else list(TEMPLATES)
    train = tar_pictures(_tars(folder / TRAIN)) if (folder / TRAIN).is_dir() and asked.name != TRAIN else None
    return _checked(EvaluationSet(set_name(folder), asked.name, pictures, names, tuple(prompts), train), folder)


def _plain_set(path: Path, split: str | None, classes: str | None, templates: str | None) -> EvaluationSet:
    prompts = tuple(lines(Path(templates))) if templates else TEMPLATES
    tars = [path] if path.is_file() else sorted(path.glob("*.tar"))
    if tars:
        pictures = tar_pictures(tars)
        names = [] if pictures.labels is None else class_names(classes, path)
        return _checked(EvaluationSet(set_name(path), "all", pictures, names, prompts), path)
    asked = _split_folder(path, split)
    if split and asked is None:
        raise RecipeError(f"--data {path}: no split {split}; found {_names(path)}")
    pictures, folders = class_folders(asked or path)
    learns = asked and asked.name != TRAIN and (path / TRAIN).is_dir()
    train = class_folders(path / TRAIN, folders)[0] if learns else None
    names = class_names(classes, path, folders) if classes else [name.replace("_", " ") for name in folders]
    shown = asked.name if asked else "all"
    return _checked(EvaluationSet(set_name(path), shown, pictures, names, prompts, train), path)


def class_names(file: str | None, path: Path, folders: list[str] | None = None) -> list[str]:
    """The names of the classes from a file: a name a line in the order of the labels, or FOLDER<TAB>NAME.

    In the order of folders there is a name for each: with one more, all after it would be another folder's.
    """
    if file is None:
        raise RecipeError(
            f"--data {path}: wanted class names: --classes FILE, a name a line, in the order of the labels"
        )
    found = lines(Path(file))
    if folders is not None and all("\t" in line for line in found):
        named = dict(line.split("\t", 1) for line in found)
        if missing := [folder for folder in folders if folder not in named]:
            raise RecipeError(f"--classes {file}: no name for the folders {missing[:5]} of {path}")
        return [named[folder] for folder in folders]
    if folders is not None and len(found) != len(folders):
        told = f"{len(found)} names, but {len(folders)} folders in {path}"
        raise RecipeError(f"--classes {file}: {told}; wanted one for each, in their order, or lines of FOLDER<TAB>NAME")
    return found


def lines(path: Path) -> list[str]:
    """The lines of a text file without blanks around them, empty ones left out; RecipeError where there are none."""
    try:
        found = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: wanted a text file: {error}") from error
    if not found:
        raise RecipeError(f"{path}: wanted a line at least, found none")
    return found


def _checked(found: EvaluationSet, path: Path) -> EvaluationSet:
    for pictures in (found.pictures, found.train):
        if pictures is not None and pictures.labels is not None:
            low, high = int(pictures.labels.min()), int(pictures.labels.max())
            if low < 0 or high >= len(found.classes):
                raise RecipeError(f"--data {path}: labels from {low} to {high}, but {len(found.classes)} class names")
    return found


def _tars(folder: Path) -> list[Path]:
    """The tars of a split in order; RecipeError where its nshards.txt tells of more or fewer."""
    found = sorted(folder.glob("*.tar"), key=lambda path: (len(path.stem), path.stem))
    told = lines(folder / SHARDS)[0] if (folder / SHARDS).is_file() else str(len(found))
    if not found or told != str(len(found)):
        raise RecipeError(f"{folder}: wanted {told} tars, found {len(found)}")
    return found


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())[:10]
