"""A file that is rewritten under its name is read again, and one that stays is read once: a worker outlives a run."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.methods.wordnet import PARTS
from curation.models import centroids, cluster_labels, evaluation, language, prompts, wordnet
from curation.stages.match_entries import _matcher
from curation.vectors import from_matrix, to_binary

ENGLISH = "the dog sleeps in the garden of the house"


def vector_lists(path: Path, count: int) -> None:
    np.save(path, np.eye(3)[:count])


def evaluations(path: Path, count: int) -> None:
    vectors = to_binary(from_matrix(np.eye(3, dtype=np.float32)[:count]))
    columns = {"set": ["s"] * count, "item": ["i"] * count, "caption": ["a dog"] * count, "vector": vectors}
    items = pa.table(columns | {"image": pa.nulls(count, evaluation.SCHEMA.field("image").type)})
    evaluation.write_evaluation(str(path), items, {})


def language_models(path: Path, count: int) -> None:
    path.write_bytes(language._packaged().read_bytes().replace(b"__label__en\0", b"__label__e%d\0" % count))


def word_nets(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        (folder / f"index.{part}").write_text("".join(f"w{n} n 1 0 1 1 0000000{n}\n" for n in range(count)))
        (folder / f"{part}.exc").write_text("")


def synsets(folder: Path, count: int) -> None:
    word_nets(folder, 3)
    folder.with_suffix(".txt").write_text("".join(f"n0000000{n}\n" for n in range(count)))


def lines(path: Path, count: int) -> None:
    path.write_text("".join(f"{n}\tw{n}\n" for n in range(count)))


def entries(path: Path, count: int) -> None:
    path.write_text("".join(f"w{n}\n" for n in range(count)))


KINDS = {
    "prompts.txt": (lines, prompts.prompt_lines, len),
    "labels.txt": (lines, cluster_labels.read_labels, len),
    "vectors.npy": (vector_lists, centroids.load, len),
    "evaluation.parquet": (evaluations, evaluation.load_evaluation, lambda found: len(found.items)),
    "wordnet": (word_nets, wordnet.load, lambda found: len(found.synsets[PARTS[0]])),
    "synsets": (synsets, lambda path: wordnet.synset_list(f"{path}.txt", path), len),
    "lid.ftz": (
        language_models,
        lambda path: language.load(f"fasttext:{path}"),
        lambda found: int(found([ENGLISH])[0][0][1]),
    ),
    "entries.txt": (entries, lambda path: _matcher(path, "metaclip1", ""), lambda found: found[1]),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_rewritten_file_is_read_again(tmp_path: Path, name: str) -> None:
    write, load, size = KINDS[name]
    path = tmp_path / name
    for count in (2, 3):
        write(path, count)
        found = load(str(path))
        assert size(found) == count and load(str(path)) is found


def test_a_rewritten_model_is_loaded_again_and_five_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many checkpoints as mean_clip_score may read are loaded once, not once a batch."""
    pytest.importorskip("torch")
    from curation.models import clip
    from tests.small_clip import CONFIG, write_model

    (tmp_path / "prompts.txt").write_text("a dog\n")
    built = []
    build = clip._build
    monkeypatch.setattr(clip, "_build", lambda source, device: built.append(source.name) or build(source, device))
    names = [write_model(tmp_path / str(number)) for number in range(5)]
    for _ in range(2):
        vectors = [prompts.prompt_vectors(str(tmp_path / "prompts.txt"), name, "fp32") for name in names]
    assert built == names and np.array_equal(vectors[0], vectors[4])
    shorter = CONFIG["model_cfg"] | {"text_cfg": CONFIG["model_cfg"]["text_cfg"] | {"layers": 1}}
    write_model(tmp_path / "4", CONFIG | {"model_cfg": shorter})
    assert not np.array_equal(prompts.prompt_vectors(str(tmp_path / "prompts.txt"), names[4], "fp32"), vectors[4])
    assert built[5:] == names[4:]
