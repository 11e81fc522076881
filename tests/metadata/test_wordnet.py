"""WordNets: Princeton's data files, tab files and LMF of the Open Multilingual Wordnet."""

import gzip
from collections import Counter

import pytest

from curation.entries import load_entries
from curation.errors import RecipeError, SchemaError
from curation.metadata.wordnet import build_wordnet, read_omw, synset_names

NOUNS = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is
00001741 03 n 02 St._Louis 0 saint_louis 0 000 | a city
00001742 03 n 01 physical_entity 0 000 | a thing
00001743 03 n 01 7 0 000 | a number
"""
ADJECTIVES = """  1 This software and database is being provided to you
00001744 00 a 01 able(p) 0 000 | capable
00001745 00 a 01 .22-caliber 0 000 | of a calibre
00001746 00 s 01 Entity 0 000 | again
00001747 00 s 01 ! 0 000 | a sign
"""
TAB = """# Wordnet Example\tfra\thttp://example.org\tCeCILL-C
00001740-n\tlemma\tentit\u00e9
00001741-n\tfra:lemma\tpomme_de_terre
00001741-n\tfra:lemma\tParis
00001741-n\tfra:def\t0\tune ville
00001742-n\tfra:exe\t0\tun exemple
00001743-n\tlemma\t\u00ab ! \u00bb
short\tlemma

"""
LMF = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd">
<LexicalResource xmlns:dc="http://purl.org/dc/elements/1.1/">
 <Lexicon id="a" label="A" language="fr" license="https://example.org/a" version="1">
  <LexicalEntry id="w1"><Lemma writtenForm="chien" partOfSpeech="n"/><Sense id="s" synset="x"/></LexicalEntry>
  <LexicalEntry id="w2"><Lemma writtenForm="chien de garde" partOfSpeech="n"/></LexicalEntry>
  <Synset id="x" ili="i1" partOfSpeech="n"/>
 </Lexicon>
</LexicalResource>
"""


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for name, text in {"noun": NOUNS, "adj": ADJECTIVES, "verb": "", "adv": ""}.items():
        (folder / f"data.{name}").write_text(text)
    return str(folder)


@pytest.fixture
def wordnet_folder(request):
    root = request.config.rootpath
    for folder in (root / "work/sample/packages/wordnet-base/usr/share/wordnet", "/usr/share/wordnet"):
        if (root / folder / "data.noun").exists():
            return str(folder)
    pytest.skip("WordNet's data files are not here: apt-get install wordnet-base, or make sample")


def test_build_from_wordnet_files(wordnet_folder):
    table = build_wordnet(wordnet_folder)
    assert table.column("entry").to_pylist() == load_entries()
    assert {r["values"]: r["counts"] for r in table.column("source").value_counts().to_pylist()} == {
        "numbers": 100,
        "wordnet": 86_554,
    }


def test_rules_of_the_build(small):
    table = build_wordnet(small)
    wordnet = [row["entry"] for row in table.to_pylist() if row["source"] == "wordnet"]
    assert wordnet == ["able", "entity", "physical entity", "st"]
    assert table.column("entry").to_pylist()[:3] == ["0", "1", "10"]
    assert table.num_rows == 104


def test_missing_and_other_files_are_named(small, tmp_path):
    with pytest.raises(RecipeError, match=r"data\.noun"):
        synset_names(str(tmp_path))
    with open(f"{small}/data.verb", "w") as file:
        file.write("<html>\n")
    with pytest.raises(SchemaError, match=r"data\.verb: wanted lines of WordNet's data files"):
        synset_names(small)


@pytest.mark.parametrize("name", ["wn-data-fra.tab", "wn-data-fra.tab.gz"])
def test_tab_files(tmp_path, name):
    data = TAB.encode() + b"0-n\tlemma\t\xff\n"
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = read_omw(str(tmp_path / name))
    assert found.words == {"entit\u00e9", "pomme de terre", "Paris"}
    assert found.licence == "CeCILL-C" and found.read == Counter(lemmas=4, bad_row=2)


@pytest.mark.parametrize("name", ["fr.xml", "fr.xml.gz"])
def test_lmf_files(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(LMF.encode()) if name.endswith("gz") else LMF.encode())
    found = read_omw(str(tmp_path / name))
    assert found.words == {"chien", "chien de garde"} and found.licence == "https://example.org/a"


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.xml", b"<LexicalResource><Lemma"), ("a.xml.gz", b"no gzip"), ("a.tab", b"\n"), ("a.xml", b"<a/>")],
)
def test_files_that_are_no_wordnet_are_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SchemaError, match=name):
        read_omw(str(tmp_path / name))
    with pytest.raises(RecipeError, match="no file"):
        read_omw(str(tmp_path / "none.tab"))
