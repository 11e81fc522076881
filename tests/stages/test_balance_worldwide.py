"""MetaCLIP 2 through its two stages: lists by language, a threshold for each, nothing lost by being rare."""

import gzip
import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.methods import entry_probability, keep_by_draws, keyed_uniforms, language_thresholds, match
from curation.schema import hex_id
from curation.stages import STAGES

ENTRIES = {
    "de": ["Hund", "Mann", "Frau", "rot", "ein"],
    "en": ["a", "dog", "man", "woman", "red", "the", "in"],
    "sw": ["mbwa", "mtu", "nyekundu"],
    "zh": ["狗", "男人", "红", "红狗"],
}
WORDS = ENTRIES | {"ja": ["犬"]}  # Japanese has no list


@pytest.fixture(scope="module")
def entry_list(tmp_path_factory):
    rows = [(language, entry) for language, entries in ENTRIES.items() for entry in entries]
    table = pa.table({"language": [r[0] for r in rows], "entry": [r[1] for r in rows]})
    path = str(tmp_path_factory.mktemp("entries") / "entries.parquet")
    pq.write_table(table, path, row_group_size=6)
    return path


def captions(seed, count):
    """(uid, caption, language): frequent words are frequent, three captions are Swahili."""
    generator = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        language = "sw" if n < 3 else str(generator.choice(["de", "en", "zh", "ja"], p=[0.3, 0.4, 0.2, 0.1]))
        words = WORDS[language]
        share = 1 / np.arange(1, len(words) + 1) ** 2
        drawn = generator.choice(words, generator.integers(1, 4), p=share / share.sum())
        rows.append((hex_id(f"{seed} {n}"), ("" if language in ("zh", "ja") else " ").join(drawn), language))
    return rows


ROWS = captions(0, 400)


def run(spark, rows, entry_list, t, partitions=3):
    frame = spark.createDataFrame(rows, "uid string, caption string, caption_language string").repartition(partitions)
    matched, sides = STAGES["match_entries"](frame, metadata=entry_list, mode="worldwide")
    counts = sides["entry_counts"]
    balanced, more = STAGES["balance_worldwide"](matched.where("keep").cache(), counts.cache(), t=t)
    return matched.collect(), counts.collect(), balanced.collect(), more["languages"].collect()


@pytest.fixture(scope="module")
def balanced(spark, entry_list):
    return run(spark, ROWS, entry_list, 40)


def expected_ids(rows):
    firsts = dict(zip(ENTRIES, itertools.accumulate(map(len, ENTRIES.values()), initial=0)))
    return {
        uid: [firsts[language] + n for n in match([caption], ENTRIES[language], "worldwide")[0]]
        for uid, caption, language in rows
        if language in ENTRIES
    }


def test_each_caption_meets_the_entries_of_its_language(balanced):
    matched, counts, _, _ = balanced
    wanted = expected_ids(ROWS)
    assert {r.uid: list(r.entries) for r in matched if r.entry_language != "ja"} == wanted
    japanese = [r for r in matched if r.entry_language == "ja"]
    assert japanese and all(r.drop_reason == "no_entry_list" and not r.entries for r in japanese)
    names = [(language, entry) for language, entries in ENTRIES.items() for entry in entries]
    seen = Counter(number for ids in wanted.values() for number in ids)
    assert {r.entry_id: (r.language, r.entry, r["count"]) for r in counts} == {
        number: (*names[number], count) for number, count in seen.items()
    }


def test_thresholds_and_draws_are_those_of_the_plain_functions(balanced):
    _, counts, drawn, languages = balanced
    by_language = {k: [r["count"] for r in counts if r.language == k] for k in ENTRIES}
    thresholds = language_thresholds(by_language, 40)
    assert {r.language: r.t for r in languages} == thresholds
    p = np.ones(sum(map(len, ENTRIES.values())))
    for row in counts:
        p[row.entry_id] = entry_probability([row["count"]], thresholds[row.language])[0]
    wanted = expected_ids(ROWS)
    for row in drawn:
        ids = wanted[row.uid]
        uniforms = keyed_uniforms(0, "balance_worldwide", pa.array([row.uid] * len(ids)), pa.array(ids))
        assert row.keep == keep_by_draws([ids], p, uniforms)[0]
    kept = {r.uid for r in drawn if r.keep}
    for row in languages:
        after = [
            n for uid in kept for n in wanted[uid] if n in {r.entry_id for r in counts if r.language == row.language}
        ]
        assert row.matches_kept == len(after) and row.pairs >= row.pairs_kept
    assert sum(r.pairs for r in languages) == len(drawn) and sum(r.pairs_kept for r in languages) == len(kept)


def test_a_language_of_three_captions_does_not_vanish(balanced):
    [swahili] = [r for r in balanced[3] if r.language == "sw"]
    assert swahili.pairs == 3 and swahili.pairs_kept >= 1 and swahili.t >= 1


def test_a_higher_threshold_only_adds_and_order_changes_nothing(spark, balanced, entry_list):
    kept = {r.uid for r in balanced[2] if r.keep}
    more = {r.uid for r in run(spark, ROWS[::-1], entry_list, 120, partitions=7)[2] if r.keep}
    again = {r.uid for r in run(spark, ROWS[::-1], entry_list, 40, partitions=7)[2] if r.keep}
    assert kept == again and kept < more


def test_a_new_crawl_changes_an_old_pair_only_through_its_entries_counts(spark, balanced, entry_list):
    new = [(hex_id(f"new {n}"), "Hund", "de") for n in range(200)]
    before = {r.uid: r for r in balanced[2]}
    matched, _, after, _ = run(spark, ROWS + new, entry_list, 40)
    hund = {r.uid for r in matched if list(ENTRIES["de"]).index("Hund") in r.entries}
    german = {r.uid for r in matched if r.entry_language == "de"}  # a language's threshold follows its counts, too
    for row in after:
        if row.uid in before and row.uid not in hund | german:
            assert (row.keep, row.keep_probability) == (before[row.uid].keep, before[row.uid].keep_probability)


def test_real_captions_of_four_languages_keep_their_tails(spark, shared, tmp_path):
    rows, table = [], {"language": [], "entry": []}
    for language in ("cs", "de", "en", "fr"):
        with gzip.open(shared / f"data/captions/multi30k-task1-train.{language}.gz", "rt", encoding="utf-8") as file:
            lines = [line.strip() for line in itertools.islice(file, 3000)]
        rows += [(hex_id(language, str(n)), line, language) for n, line in enumerate(lines)]
        words = Counter(word for line in lines for word in set(line.rstrip(".").split()))
        entries = sorted(word for word, count in words.items() if count >= 3)
        table["language"] += [language] * len(entries)
        table["entry"] += entries
    path = str(tmp_path / "entries.parquet")
    pq.write_table(pa.table(table), path)
    *_, languages = run(spark, rows, path, 20)
    share = next(r.tail_share for r in languages if r.language == "en")
    for row in languages:
        assert abs(row.tail_share - share) < 0.03  # as close as a threshold that is a count can come
        assert row.tail_share_kept > row.tail_share and 0.2 < row.pairs_kept / row.pairs < 1


def test_codes_without_a_list_are_many(spark, entry_list):
    """One expression for each would be too deep for Spark's parser at some 330."""
    rows = [*ROWS[:50], *((hex_id(f"junk {n}"), "a dog", f"x{n}") for n in range(500))]
    frame = spark.createDataFrame(rows, "uid string, caption string, caption_language string").repartition(3)
    matched = STAGES["match_entries"](frame, metadata=entry_list, mode="worldwide")[0]
    reasons = Counter(r.drop_reason for r in matched.collect())
    assert reasons["no_entry_list"] == 500 + sum(language == "ja" for _, _, language in ROWS[:50])


def test_languages_with_lists_are_many(spark, tmp_path):
    known = [f"x{n}" for n in range(400)]
    pq.write_table(pa.table({"language": sorted(known), "entry": ["dog"] * 400}), tmp_path / "e.parquet")
    rows = [(hex_id(language), "a dog", language) for language in known]
    frame = spark.createDataFrame(rows, "uid string, caption string, caption_language string")
    matched = STAGES["match_entries"](frame, metadata=str(tmp_path / "e.parquet"), mode="worldwide")[0]
    assert {r.entry_language: len(r.entries) for r in matched.collect()} == dict.fromkeys(known, 1)
