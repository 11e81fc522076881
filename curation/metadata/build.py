"""`curate metadata`: an entry list from its sources."""

import hashlib
import math
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.entries import packed, wordnet_licence
from curation.errors import RecipeError, StaleOutputError
from curation.files import committing, join, read_json, write_json
from curation.metadata.choosing import Rule, Thresholds
from curation.metadata.corpora import named
from curation.metadata.mining import Inputs, Mined, mined
from curation.metadata.wordnet import numbers, read_omw, synset_names
from curation.methods.ngrams import BIGRAMS, TITLE_SHARE, TITLES, UNIGRAM_SHARE, UNIGRAMS, is_punctuation
from curation.parts import parquet_writer
from curation.schema import hex_id
from curation.stage import releasing

SOURCES = ("numbers", "wordnet", "unigrams", "bigrams", "titles")  # of equal entries the first keeps its row
ENTRIES = pa.schema(
    [
        ("source", pa.string()),
        ("language", pa.string()),
        ("entry", pa.string()),
        ("count", pa.int64()),  # how often an n-gram was seen, how often a title was viewed
        ("score", pa.float64()),  # PMI of a bi-gram, bits
    ]
)
LICENCES = {
    "dump": "Text of Wikipedia: CC BY-SA 4.0 and GFDL, by its authors (dumps.wikimedia.org/legal.html).",
    "pageviews": "Page views of Wikimedia: CC0 1.0 (dumps.wikimedia.org/legal.html).",
    "corpus": "Text given by the user: as its owners say.",
}
READ = ("documents", "rows", "lemmas")
# Nothing of these is a fault of the file.
SKIPPED = ("redirect", "other_namespace", "no_text", "no_language", "other_language", "forgotten")
GROUP_ROWS = 1 << 16  # of a language, read together


def metadata(
    *,
    out: str,
    wordnet: str | None = None,
    omw: list[str] | None = None,
    dump: list[str] | None = None,
    corpus: list[str] | None = None,
    pageviews: list[str] | None = None,
    languages: list[str] | None = None,
    rule: Rule = "language",
    unigram_count: int = 100,
    unigram_share: float = UNIGRAM_SHARE,
    max_unigrams: int = UNIGRAMS,
    pmi: float = 30.0,
    bigram_count: int = 1,
    max_bigrams: int = BIGRAMS,
    top_bigrams: int | None = None,
    row_views: int = 50,
    title_views: int = 70,
    title_share: float = TITLE_SHARE,
    max_titles: int = TITLES,
    longest: int = 256,
) -> dict[str, Any]:
    """Build an entry list, one per language, from WordNets, text and page views, and print its counts.

    WORDNET is the folder with data.noun, data.verb, data.adj and data.adv of WordNet 3.0 or 3.1, for English. Each of
    the others may be given several times, and be a glob: OMW, LANG=FILE, a file of the Open Multilingual Wordnet (.tab,
    or WN-LMF as .xml); DUMP, LANG=FILE, pages-articles of a Wikipedia (.xml.bz2, best as multistream, .xml, .xml.gz);
    CORPUS, LANG=FILE, other text: lines of a text file (.gz too), the column caption or text of a .parquet file, the
    captions of a pool; without LANG= its language is in the column `language`, else found out; PAGEVIEWS, a file of
    page views, hourly or daily. LANG is the code that Wikipedia uses. LANGUAGES are those of the list: all that the
    sources have where not given. The numbers 0 to 99 go into every language.

    RULE says which paper decides: language, English by MetaCLIP and all others by MetaCLIP 2; metaclip1 or worldwide,
    that one for all. MetaCLIP (arXiv:2309.16671): uni-grams seen at least UNIGRAM_COUNT times, bi-grams of at least PMI
    bits, titles with at least TITLE_VIEWS views on the desktop site in hours of at least ROW_VIEWS. MetaCLIP 2
    (arXiv:2507.22062): a share UNIGRAM_SHARE of the different uni-grams, the most frequent ones, at most MAX_UNIGRAMS;
    bi-grams of more than PMI bits, the highest MAX_BIGRAMS; a share TITLE_SHARE of the titles viewed, at most
    MAX_TITLES. A PMI of 30 needs a billion words: TOP_BIGRAMS takes so many with the highest PMI instead, of those seen
    at least BIGRAM_COUNT times. Entries longer than LONGEST characters, or of punctuation alone, are left out.

    OUT gets entries.parquet (source, language, entry, count, score; sorted by language, source and entry),
    metadata.json (counts, thresholds, licences, what was rejected in which file, key) and, of one language,
    entries.txt.gz (an entry a line). Equal input gives equal bytes. An OUT that holds another list is refused.

        curate metadata --wordnet /usr/share/wordnet --dump en=enwiki-pages-articles-multistream.xml.bz2 --out entries
    """
    settings = {name: value for name, value in locals().items() if name in Thresholds._fields}
    rules = Thresholds(*(settings[name] for name in Thresholds._fields)).check()
    inputs = Inputs(
        wordnet,
        named("omw", omw or []),
        named("dump", dump or []),
        named("corpus", corpus or [], needed=False),
        [uri for _, uri in named("pageviews", pageviews or [], needed=False)],
    )
    if not any(inputs):
        raise RecipeError("metadata: no source; wanted --wordnet, --omw, --dump, --corpus or --pageviews")
    with releasing():
        return _build(inputs, languages, rules, out)


def _build(inputs: Inputs, wanted: list[str] | None, rules: Thresholds, out: str) -> dict[str, Any]:
    others = inputs.languages() - set(wanted or inputs.languages())
    if others:
        raise RecipeError(f"metadata: sources are of {sorted(others)}, --languages has {sorted(wanted or [])}")
    wordnets, licences, read = _wordnets(inputs)
    languages, chosen, tokenizers = set(wanted or wordnets), None, {}
    if inputs.dumps or inputs.corpora or inputs.pageviews:
        chosen = mined(inputs, wanted, rules)
        languages |= chosen.languages
        read |= chosen.read
        tokenizers = chosen.tokenizers
    if not languages:
        raise RecipeError("metadata: found no text in any language")
    given = zip(LICENCES.values(), (inputs.dumps, inputs.pageviews, inputs.corpora))
    licences += [licence for licence, files in given if files]
    for file, codes in read.items():
        bad = {code: count for code, count in codes.items() if code not in (*READ, *SKIPPED)}
        if bad:
            print(f"{file}: rejected {bad}", file=sys.stderr, flush=True)
    tables = ((language, _table(language, wordnets, chosen, rules.longest)) for language in sorted(languages))
    record = {"licence": "\n\n".join(licences), "thresholds": rules._asdict(), "tokenizers": tokenizers, "files": read}
    return _commit(tables, record, out)


def _wordnets(inputs: Inputs) -> tuple[dict[str, set[str]], list[str], dict[str, dict[str, int]]]:
    """The words of the WordNets by language, their licences, and what was read of each file."""
    words: dict[str, set[str]] = {}
    licences, read = [], {}
    if inputs.wordnet:
        words["en"] = synset_names(inputs.wordnet)
        licences.append(wordnet_licence())
    for language, uri in inputs.omw:
        found, name = read_omw(uri), uri.rpartition("/")[2]
        words.setdefault(language, set()).update(found.words)
        licences.append(f"{name}: {found.licence or 'no licence named'}")
        read[name] = dict(found.read)
    return words, licences, read


def _table(language: str, wordnets: dict[str, set[str]], chosen: Mined | None, longest: int) -> pa.Table:
    """The entries of one language, each once, by source and entry."""
    rows = [(0, number, None, None) for number in numbers()]
    rows += [(1, word, None, None) for word in sorted(wordnets.get(language, ()))]
    if chosen is not None:
        columns = chosen.table(language).to_pydict()
        places = map(SOURCES.index, columns["source"])
        rows += sorted(zip(places, columns["entry"], columns["count"], columns["lift"]), key=_order)
    kept: dict[str, tuple] = {}
    for place, entry, count, lift in rows:
        if entry not in kept and len(entry) <= longest and not is_punctuation(entry):
            kept[entry] = (SOURCES[place], language, entry, count, None if lift is None else math.log2(lift))
    columns = list(zip(*kept.values()))
    return pa.Table.from_arrays([pa.array(c, field.type) for c, field in zip(columns, ENTRIES)], schema=ENTRIES)


def _order(row: tuple) -> tuple:
    """By source and entry; two bi-grams that are written alike by PMI."""
    place, entry, count, lift = row
    return place, entry, -(lift or 0), -count


def _commit(tables: Iterator[tuple[str, pa.Table]], record: dict[str, Any], out: str) -> dict[str, Any]:
    """Write the list, one language after the other, unless OUT has another one; its record."""
    key, languages, counts, entries = hashlib.sha256(), {}, Counter(), 0
    table = None
    with tempfile.TemporaryFile() as held:
        with parquet_writer(held, ENTRIES) as writer:
            for language, table in tables:
                own = Counter(table.column("source").to_pylist())
                languages[language] = {"first_id": entries, "entries": table.num_rows, "counts": dict(own)}
                counts += own
                entries += table.num_rows
                key.update("".join(f"{entry}\0" for entry in (language, *table.column("entry").to_pylist())).encode())
                writer.write_table(table, GROUP_ROWS)
        single = table.column("entry").to_pylist() if len(languages) == 1 else None
        digest = hex_id(*single) if single else key.hexdigest()[:32]
        record = {"key": digest, "entries": entries, "counts": dict(counts)} | record | {"languages": languages}
        found = read_json(join(out, "metadata.json"))
        if found is not None and found.get("key") != digest:
            raise StaleOutputError(f"{out}: holds entry list {found.get('key')}, this is {digest}; name another")
        if single:
            with committing(join(out, "entries.txt.gz")) as file:
                file.write(packed(single))
        held.seek(0)
        with committing(join(out, "entries.parquet")) as file:
            shutil.copyfileobj(held, file)
    write_json(join(out, "metadata.json"), record)
    return record
