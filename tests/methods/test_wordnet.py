"""WordNet's first synset: by hand, by what WordNet 3.0 says, and equal to NLTK's reader; DataComp's text rule."""

import gzip
import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.graph import Graph
from curation.methods import synset_words
from curation.methods.wordnet import ENDINGS, PARTS
from curation.models.wordnet import load, synset_list
from curation.recipe import load_recipe
from curation.signals.caption_synsets import caption_synsets

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "work/sample/packages/wordnet-base/usr/share/wordnet", Path("/usr/share/wordnet"))

INDEX = {
    "noun": "  1 licence\naxe n 1 1 @ 1 0 02764044  \nax n 1 1 @ 1 0 02764044  \naxis n 1 1 @ 1 0 13863771  \n"
    "bus n 2 1 @ 2 1 02924116 04024862  \ncity n 1 0 1 1 08524735  \nwolf n 1 0 1 1 02114100  \n"
    "leaf n 1 0 1 1 13152742 \nman n 1 0 1 1 10287213  \nnew_york n 1 0 1 0 09117351  \nglass n 1 0 1 0 03438257 \n",
    "verb": "run v 1 0 1 1 01926311  \nbake v 1 0 1 1 00319886  \nwolf v 1 0 1 0 01196364  \n",
    "adj": "red a 1 0 1 1 00381097  \nfine a 1 0 1 1 02081114  \n",
    "adv": "fast r 1 0 1 1 00086000  \n",
}
EXCEPTIONS = {
    "noun": "axes ax axis\nrunning jog\n",
    "verb": "ran run\nrunning run\n",
    "adj": "",
    "adv": "better well\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("wordnet")
    for part in PARTS:
        (path / f"index.{part}").write_text(INDEX[part])
        (path / f"{part}.exc").write_text(EXCEPTIONS[part])
    return path


@pytest.fixture(scope="module")
def small(folder):
    return load(str(folder))


@pytest.fixture(scope="module")
def wordnet():
    found = next((folder for folder in FOLDERS if (folder / "index.noun").is_file()), None)
    if found is None:
        pytest.skip("no WordNet: run sample/fetch.py --work work/sample wordnet-base")
    return found


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("bus", ("noun", 2924116)),  # the first of its synsets
        ("Buses", ("noun", 2924116)),  # "ses" -> "s", and case
        ("BUS", ("noun", 2924116)),
        ("cities", ("noun", 8524735)),
        ("wolves", ("noun", 2114100)),  # a rule of NLTK's; and the noun before the verb
        ("leaves", ("noun", 13152742)),
        ("men", ("noun", 10287213)),
        ("axes", ("noun", 2764044)),  # the exceptions, in their order
        ("glasses", ("noun", 3438257)),
        ("new_york", ("noun", 9117351)),
        ("running", ("verb", 1926311)),  # the noun's exception leads to no lemma, and then no ending is tried
        ("ran", ("verb", 1926311)),
        ("baked", ("verb", 319886)),
        ("baking", ("verb", 319886)),
        ("redder", None),  # "redd" is no lemma, and only one ending comes off
        ("finer", ("adj", 2081114)),
        ("fast", ("adv", 86000)),
        ("faster", None),  # adverbs have no endings
        ("buseses", None),
        ("less", None),
        ("dog", None),
        ("bus.", None),
        ("(bus", None),
        ("", None),
        ("s" * 100_000, None),
    ],
)
def test_first_synset_of_a_small_wordnet(small, word, found):
    assert small.first_synset(word) == found


def test_what_wordnet_says(wordnet):
    found = load(str(wordnet))
    words = {
        "dog": ("noun", 2084071),
        "dogs": ("noun", 2084071),
        "DOGS": ("noun", 2084071),
        "dog.": None,
        "a": ("noun", 13658027),  # the angstrom
        "it": ("noun", 6134510),  # information technology
        "in": ("noun", 13649791),  # the inch
        "so": ("noun", 6868844),  # sol
        "running": ("noun", 558883),  # a noun as well as a verb's form, and nouns come first
        "mice": ("noun", 2330245),
        "quickly": ("adv", 85811),
        "猫": None,
    }
    assert {word: found.first_synset(word) for word in words} == words
    # Debian's data.verb has a patch, by which offsets differ from Princeton's
    assert [found.first_synset(word)[0] for word in ("ran", "walked", "eaten", "Baking")] == ["verb"] * 3 + ["noun"]


def words_of(shared):
    data = shared / "data"
    texts = pq.read_table(data / "tables" / "laion-style-10k.parquet").column("TEXT").drop_null().to_pylist()
    with gzip.open(data / "captions" / "multi30k-task1-train.en.gz", "rt", encoding="utf-8") as file:
        texts += [next(file) for _ in range(2000)]
    return sorted({word for text in texts for word in text.split()})


@pytest.fixture(scope="module")
def nltk_reader(wordnet, tmp_path_factory):
    """The reference's reader. It wants a file that Debian leaves out, and reads only what lies in its own folders."""
    nltk_data = pytest.importorskip("nltk.data")
    root = tmp_path_factory.mktemp("nltk")
    folder = root / "corpora" / "wordnet"
    shutil.copytree(wordnet, folder)
    if not (folder / "lexnames").exists():
        (folder / "lexnames").write_text("".join(f"{number:02d} made 1\n" for number in range(45)))
        (folder / "index.sense").write_text("")  # for other versions of WordNet, which are not asked for
    nltk_data.path.insert(0, str(root))
    from nltk.corpus import wordnet as reader

    return reader


def test_equals_nltk(wordnet, nltk_reader, shared):
    ours = load(str(wordnet))
    draw = random.Random(0)
    words = draw.sample(words_of(shared), 6000)
    forms = [form for part in PARTS for form in ours.irregular[part]]
    lemmas = [lemma for part in PARTS for lemma in ours.synsets[part] if "_" not in lemma]
    endings = [old for part in PARTS for old, _ in ENDINGS[part]]
    words += draw.sample(forms, 1500)
    words += [draw.choice(lemmas) + draw.choice(["", *endings]) for _ in range(2000)]
    words += [draw.choice(lemmas)[:-1] + draw.choice(endings) + draw.choice(["", *endings]) for _ in range(1000)]
    for word in words:
        synsets = nltk_reader.synsets(word)
        wanted = (synsets[0].pos().replace("s", "a"), synsets[0].offset()) if synsets else None
        found = ours.first_synset(word)
        assert (found and ({"adv": "r"}.get(found[0], found[0][0]), found[1])) == wanted, word


@given(st.lists(st.none() | st.text("bus Buses\n\u3000.axewolf", max_size=20), max_size=6))
def test_words_are_counted_as_one_by_one(small, captions):
    listed = frozenset([2924116, 2764044])

    def count(text):
        firsts = [small.first_synset(word) for word in text.split()]
        return sum(first is not None and first[1] in listed for first in firsts)

    array = pa.array(["bus", *captions], pa.string())
    found = synset_words(array, small, listed)
    assert found.type == pa.int32() and found.to_pylist() == [1, *(None if c is None else count(c) for c in captions)]
    assert synset_words(array[1:], small, listed).equals(found[1:])


def write_list(path, *ids):
    path.write_text("".join(f"{each}\n" for each in ids))
    return str(path)


def test_datacomps_text_rule_on_the_oracles_captions(wordnet, shared, tmp_path):
    """Each caption of the reference's rows, its synsets looked up by hand in index.noun and index.verb."""
    rows = json.loads((shared / "oracles" / "datacomp_baselines_small.json").read_text())["rows"]
    things = write_list(
        tmp_path / "ids.txt", "n02084071", "n02121620", "n02958343", "n03001627", "n04379243", "n02099601"
    )
    texts = pa.array([row["text"] for row in rows])
    found = caption_synsets(texts, wordnet=str(wordnet), synsets=things)
    named = {row["text"]: count for row, count in zip(rows, found.to_pylist())}
    wanted = {"a dog": 1, "a red car": 1, "two dogs playing": 1, "photo": 0, "dogs\n": 1, "cat": 1, "cat.": 0}
    wanted |= {
        "(cat) sits here": 0,
        "Cats sit here": 1,
        "tables and chairs here": 1,
        "The, cat.": 0,
        "Dogs running!": 1,
    }
    wanted |= {"": 0, "a b c": 0, "zzzz qqqq wwww": 0, "猫 犬 鳥 牛 馬 羊": 0, "un chien rouge": 0, "of the and": 0}
    assert {text: named[text] for text in wanted} == wanted


def test_lists_that_do_not_fit_are_refused(folder, tmp_path):
    ids = write_list(tmp_path / "ids", "n02924116", "02764044", "", "v01926311")
    assert synset_list(ids, str(folder)) == {2924116, 2764044, 1926311}
    for number, (lines, told) in enumerate(
        [
            (["n02924116", "n00000001"], "1 of 2 synsets are not in .*as 00000001: another version of WordNet"),
            (["bus"], r"\['bus'\] of 1 lines; wanted one id a line"),
            (["n2924116"], "wanted one id a line"),
            ([""], "0 lines; wanted one id a line"),
        ]
    ):
        with pytest.raises(RecipeError, match=told):
            synset_list(write_list(tmp_path / f"wrong{number}", *lines), str(folder))
    (tmp_path / "index.noun").write_text("")
    with pytest.raises(RecipeError, match=r"no \['index.verb', 'index.adj', 'index.adv', 'noun.exc'"):
        load(str(tmp_path))


def test_the_recipe_takes_both_files_as_inputs(folder, tmp_path):
    ids = write_list(tmp_path / "ids", "n02924116")
    with pytest.raises(RecipeError, match=r"\[inputs\] wordnet: no file wordnet; use --set inputs.wordnet=PATH"):
        load_recipe("datacomp_text")
    recipe = load_recipe("datacomp_text", [f"inputs.wordnet={folder}", f"inputs.synsets={ids}"])
    node = recipe.graph.node("caption_synsets")
    assert dict(node.settings) == {"wordnet": str(folder), "synsets": ids}
    assert recipe.steps[0].settings["keep"]["caption_synsets"].min == 1
    other = write_list(tmp_path / "other", "n02764044")
    assert Graph({"wordnet": str(folder), "synsets": other}).node("caption_synsets").key != node.key
    write_list(tmp_path / "ids", "n02924116", "n02764044")
    assert Graph(dict(node.settings)).node("caption_synsets").key != node.key
    with pytest.raises(RecipeError, match="caption_synsets: setting wordnet must be given"):
        Graph().node("caption_synsets")
