"""The recipe datacomp_text in Spark: a language model of one's own in the workers, WordNet and its list as inputs."""

from collections import Counter

import pyarrow.parquet as pq
import pytest

from curation.methods.wordnet import PARTS
from curation.records import read_record
from curation.run import run

MODEL = '''
def predict(texts):
    """Pictures are French, what is to be seen has no language."""
    known = {"a": ("en", 0.9), "picture": ("fr", 0.5)}
    return [known.get(text.split(" ")[0]) for text in texts]
'''
NOUNS = "circle n 2 0 2 1 13873502 08240169  \nsquare n 1 0 1 1 13878634  \ntriangle n 1 0 1 1 13879320  \n"


@pytest.fixture(scope="module")
def out(spark, pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    for part in PARTS:
        (folder / f"index.{part}").write_text(NOUNS if part == "noun" else "")
        (folder / f"{part}.exc").write_text("")
    (folder / "ids.txt").write_text("n13873502\nn13879320\n")
    (folder / "made_language.py").write_text(MODEL)
    spark.sparkContext.addPyFile(str(folder / "made_language.py"))  # as spark-submit --py-files does
    changes = ["signals.backend=made_language:predict", f"inputs.wordnet={folder}", f"inputs.synsets={folder}/ids.txt"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))  # for this process, which checks the recipe
        run("datacomp_text", pool, str(folder / "out"), store=str(folder / "store"), set=changes)
    return folder / "out"


def test_what_is_dropped_and_why(out):
    rows = [row for part in (out / "subset").glob("*.parquet") for row in pq.read_table(part).to_pylist()]
    reasons = Counter((row["drop_reason"], row["drop_value"]) for row in rows)
    assert reasons["caption_synsets<1", "0"] == 8  # the squares
    assert reasons["caption_language not in en", "fr"] == 1
    assert reasons["caption_language is null", None] == 1
    assert len(rows) == 26 and sum(row["keep"] for row in rows) == 26 - 8 - 2


def test_the_release_names_models_and_files_by_their_digests(out):
    mark = read_record(str(out / "manifest" / "release.json"))
    models = {name: signal.get("models", {}) for name, signal in mark["signals"].items()}
    assert models["language_prediction"]["backend"]["name"] == "made_language:predict"
    told = [*models["language_prediction"].values(), *models["caption_synsets"].values()]
    assert [len(model["digest"]) for model in told] == [64] * 3
