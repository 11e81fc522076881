"""`curate metadata`: every source into one list, equal bytes however the work is cut, real captions."""

import gzip
import itertools
import json
import math
import random

import pyarrow.parquet as pq
import pytest

from curation.entries import languages, load_entries, load_language
from curation.errors import RecipeError, StaleOutputError
from curation.metadata import counting, wikipedia
from curation.metadata.build import metadata
from curation.metadata.choosing import Thresholds
from curation.methods import ngram_counts, worldwide_caps
from tests.metadata.dumps import page, write
from tests.metadata.test_titles import HOURLY
from tests.metadata.test_wordnet import ADJECTIVES, NOUNS, TAB

FILES = ("entries.parquet", "metadata.json")


@pytest.fixture
def wordnet(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for name, text in {"noun": NOUNS, "adj": ADJECTIVES, "verb": "", "adv": ""}.items():
        (folder / f"data.{name}").write_text(text)
    return str(folder)


def rows(out):
    return pq.read_table(f"{out}/entries.parquet").to_pylist()


def test_wordnet_alone_gives_one_list_twice_the_same_and_refuses_another(wordnet, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    record = metadata(wordnet=wordnet, out=str(one))
    assert metadata(wordnet=wordnet, out=str(two)) == record == metadata(wordnet=wordnet, out=str(one))
    assert record["entries"] == 104 and record["counts"] == {"numbers": 100, "wordnet": 4}
    assert "Princeton" in record["licence"] and "ALL copies" in record["licence"]
    for name in ("entries.txt.gz", *FILES):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert load_entries(str(one / "entries.txt.gz")) == load_entries(str(one / "entries.parquet"))
    assert languages(str(one / "entries.parquet")) == {"en": range(104)}
    assert {tuple(row)[:3] for row in rows(one)} == {("source", "language", "entry")}
    with open(f"{wordnet}/data.adv", "w") as file:
        file.write("00001748 02 r 01 very 0 000 | much\n")
    with pytest.raises(StaleOutputError, match="name another"):
        metadata(wordnet=wordnet, out=str(one))
    assert (one / "entries.parquet").read_bytes() == (two / "entries.parquet").read_bytes()


def test_wrong_flags_are_refused_before_any_work(wordnet, tmp_path):
    out = str(tmp_path / "out")
    (tmp_path / "a.txt").touch()
    for flags, message in (
        ({}, "no source"),
        ({"wordnet": wordnet, "title_share": 1.5}, "title_share is 1.5, wanted 0 to 1"),
        ({"wordnet": wordnet, "rule": "both"}, r"no rule \['both'\]; known: \['language', 'metaclip1', 'worldwide'\]"),
        ({"wordnet": wordnet, "languages": ["de"]}, r"sources are of \['en'\], --languages has \['de'\]"),
        ({"pageviews": [str(tmp_path / "none.gz")], "languages": ["de"]}, "no file"),
        ({"pageviews": [str(tmp_path / "a.txt")]}, "wanted --languages"),
    ):
        with pytest.raises(RecipeError, match=message):
            metadata(out=out, **flags)
    assert not (tmp_path / "out").exists()


def test_every_source_of_two_languages(spark, wordnet, tmp_path):
    """English by the first paper, German by the second, from a dump, a text file, page views and WordNets."""
    pages = [page(f"T{n}", f"Ein Hund, ein Hund. Wort{n} [[Katze|rote Katze]]!") for n in range(10)]
    broken = page("B", "Hund").replace("</title>", "")
    dump = write(tmp_path / "dewiki.xml.bz2", [*pages, broken, page("R", "x", redirect=True)])
    (tmp_path / "en.txt").write_text("the entity dog\nthe dog\nthe cat, 7\n" * 40 + "rare pair\n")
    (tmp_path / "views.gz").write_bytes(gzip.compress(HOURLY.encode()))
    (tmp_path / "de.tab").write_text(TAB)
    record = metadata(
        wordnet=wordnet,
        omw=[f"de={tmp_path}/de.tab"],
        dump=[f"de={dump}"],
        corpus=[f"en={tmp_path}/en.txt"],
        pageviews=[f"{tmp_path}/views.gz"],
        out=str(tmp_path / "out"),
        pmi=1.0,
        title_views=60,
    )
    found = {}
    for row in rows(tmp_path / "out"):
        found.setdefault((row["language"], row["source"]), {})[row["entry"]] = (row["count"], row["score"])
    # English: "the" 120, "dog" 80, "cat" 40, "entity" 40 (a synset as well), "7" 40, rare pair 1; N = 322.
    assert found["en", "unigrams"] == {"the": (120, None)}
    pairs = {"entity dog": math.log2(40 * 322 / (40 * 80)), "the cat": math.log2(40 * 322 / (120 * 40))}
    pairs |= {"the entity": pairs["the cat"], "rare pair": math.log2(322)}
    assert {entry: count for entry, (count, _) in found["en", "bigrams"].items()} == {
        "entity dog": 40,
        "the cat": 40,
        "the entity": 40,
        "rare pair": 1,
    }
    assert {entry: score for entry, (_, score) in found["en", "bigrams"].items()} == pytest.approx(pairs, abs=1e-12)
    assert found["en", "titles"] == {"Red dog": (60, None)}
    # German: 15 different uni-grams, a tenth is one; 76 % of two titles is one, and that is the same word.
    assert found["de", "unigrams"] == {"Hund": (20, None)} and ("de", "titles") not in found
    assert found["de", "wordnet"].keys() == {"Paris", "entit\u00e9", "pomme de terre"}
    assert record["files"]["dewiki.xml.bz2"] == {"bad_xml": 1, "documents": 10, "redirect": 1}
    assert record["files"]["views.gz"]["bad_row"] == 2 and record["files"]["de.tab"] == {"lemmas": 4, "bad_row": 1}
    assert record["languages"]["en"]["first_id"] == record["languages"]["de"]["entries"]
    assert record["tokenizers"] == {"de": "blanks", "en": "blanks"} and "CeCILL-C" in record["licence"]
    path = str(tmp_path / "out" / "entries.parquet")
    for language, ids in languages(path).items():
        first, entries = load_language(path, language)
        assert (first, len(entries)) == (ids.start, len(ids)) and len(set(entries)) == len(entries)
    assert not (tmp_path / "out" / "entries.txt.gz").exists()


def test_real_captions_give_the_counts_of_a_plain_loop_however_the_work_is_cut(spark, shared, tmp_path, monkeypatch):
    """Multi30k in three languages as text, as shuffled text in two files, and as a dump in many ranges: equal bytes."""
    lines = {}
    for language in ("cs", "de", "fr"):
        with gzip.open(shared / "data" / "captions" / f"multi30k-task1-train.{language}.gz", "rt") as file:
            lines[language] = list(itertools.islice(file, 1500))
    flags = {"top_bigrams": 300, "bigram_count": 4}
    record = None
    for number, form in enumerate((_text, _shuffled, _dump)):
        sources = [source for language in lines for source in form(tmp_path / str(number), language, lines[language])]
        monkeypatch.setattr(counting, "HELD", 1 << 19 if number == 0 else 500)
        monkeypatch.setattr(wikipedia, "RANGE_BYTES", 20_000)
        name = "dump" if form is _dump else "corpus"
        found = metadata(out=str(tmp_path / f"out{number}"), **{name: sources}, **flags)
        record = record or found
        assert found["key"] == record["key"]
        written = [(tmp_path / f"out{each}" / "entries.parquet").read_bytes() for each in (0, number)]
        assert written[0] == written[1]
    for language, texts in lines.items():
        _check(texts, [row for row in rows(tmp_path / "out0") if row["language"] == language])
    assert json.loads((tmp_path / "out0/metadata.json").read_text())["thresholds"] == Thresholds(**flags)._asdict()


def _text(folder, language, lines):
    folder.mkdir(exist_ok=True)
    (folder / f"{language}.txt").write_text("".join(lines))
    return [f"{language}={folder}/{language}.txt"]


def _shuffled(folder, language, lines):
    folder.mkdir(exist_ok=True)
    lines = random.Random(7).sample(lines, len(lines))
    (folder / f"{language}-b.txt").write_text("".join(lines[:100]))
    (folder / f"{language}-a.txt").write_text("".join(lines[100:]))
    return [f"{language}={folder}/{language}-*.txt"]


def _dump(folder, language, lines):
    folder.mkdir(exist_ok=True)
    pages = [page(f"T{n}", "".join(lines[n : n + 5])) for n in range(0, len(lines), 5)]
    return [f"{language}={write(folder / f'{language}wiki.xml.bz2', pages, 10)}"]


def _check(lines, found):
    words, pairs = ngram_counts(lines)
    cap = worldwide_caps(len(words), 0, 0)[0]
    wanted = sorted(words, key=lambda word: (-words[word], word))[:cap]
    numbers = set(map(str, range(100)))
    chosen = {row["entry"]: row["count"] for row in found if row["source"] == "unigrams"}
    assert chosen == {word: words[word] for word in wanted if word not in numbers} and len(chosen) > 100
    total = sum(words.values())
    lifts = {
        pair: count * total / (words[pair.split(" ")[0]] * words[pair.split(" ")[1]])
        for pair, count in pairs.items()
        if count >= 4
    }
    best = sorted(lifts, key=lambda pair: (-lifts[pair], pair))[:300]
    kept = {row["entry"]: (row["count"], row["score"]) for row in found if row["source"] == "bigrams"}
    assert kept == {pair: (pairs[pair], math.log2(lifts[pair])) for pair in best}


def test_languages_without_spaces_join_bigrams_as_they_are_written(spark, tmp_path):
    pytest.importorskip("icu4py", reason="the extra tokenizers is not installed")
    (tmp_path / "zh.txt").write_text("\u5317\u4eac\u7684\u5927\u718a\u732b\u3002\u5317\u4eac\u5927\u718a\u732b\n" * 3)
    metadata(corpus=[f"zh={tmp_path}/zh.txt"], out=str(tmp_path / "out"), top_bigrams=3, unigram_share=1)
    found = {row["entry"]: row["count"] for row in rows(tmp_path / "out") if row["source"] != "numbers"}
    words = {"\u5317\u4eac": 6, "\u7684": 3, "\u5927\u718a\u732b": 6}
    pairs = {"\u5317\u4eac\u7684": 3, "\u7684\u5927\u718a\u732b": 3, "\u5317\u4eac\u5927\u718a\u732b": 3}
    assert found == words | pairs


def test_thresholds_are_met_as_each_paper_has_it(spark, tmp_path):
    """Four words once each: both bi-grams have a PMI of exactly 2. MetaCLIP takes >= 2, MetaCLIP 2 > 2."""
    (tmp_path / "a.txt").write_text("red car. blue bike\n")
    corpus = [f"{language}={tmp_path}/a.txt" for language in ("de", "en")]
    metadata(corpus=corpus, out=str(tmp_path / "out"), pmi=2.0, unigram_count=1, unigram_share=0.5)
    found = {(row["language"], row["entry"]) for row in rows(tmp_path / "out") if row["source"] != "numbers"}
    english = {("en", entry) for entry in ("red", "car", "blue", "bike", "red car", "blue bike")}
    assert found == english | {("de", "bike"), ("de", "blue")}
    metadata(corpus=corpus, out=str(tmp_path / "out2"), pmi=1.9, rule="worldwide", max_bigrams=1, longest=8)
    found = {(row["language"], row["entry"]) for row in rows(tmp_path / "out2") if row["source"] != "numbers"}
    assert found == {("de", "red car"), ("en", "red car")}  # of equal ones the first that is short enough
