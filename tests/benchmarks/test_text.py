"""The text benchmark: the peer's two functions are our rules, and a difference is told with the step it comes from."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import text  # noqa: E402 - needs the line above
from corpora import texts  # noqa: E402
from juicer import commands, counting, operators  # noqa: E402
from juicer.differences import Found, deciding, filter_rows, our_findings  # noqa: E402

from curation.methods import entry_probability, keep_by_draws, keyed_uniforms  # noqa: E402
from curation.recipe import load_recipe  # noqa: E402

UIDS = [f"{n:032x}" for n in range(500)]
IDS = [[n % 7, 7 + n % 3] if n % 5 else [] for n in range(500)]


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """The peer's probabilities of the entries of IDS, t = 50, as its second run finds them."""
    pq.write_table(pa.table({"uid": UIDS, "entries": IDS}), tmp_path / "first.parquet")
    pq.write_table(pa.table({"entry": [f"entry {n}" for n in range(12)]}), tmp_path / "entries.parquet")
    out = tmp_path / "probabilities.npy"
    counting.main(str(tmp_path / "first.parquet"), "50", str(tmp_path / "entries.parquet"), str(out))
    monkeypatch.setenv(operators.PROBABILITIES, str(out))
    operators.probabilities.cache_clear()
    yield np.load(out)
    operators.probabilities.cache_clear()


def test_the_peer_counts_and_draws_as_balance_entries_does(counted):
    flat = [entry for ids in IDS for entry in ids]
    p = entry_probability([flat.count(n) for n in range(12)], 50)
    assert counted.tolist() == p.tolist() and p.min() < 0.5 < p.max()
    repeated = [uid for uid, ids in zip(UIDS, IDS) for _ in ids]
    uniforms = keyed_uniforms(0, "balance_entries", pa.array(repeated), pa.array(flat))
    assert [operators.uniform(uid, entry) for uid, entry in zip(repeated, flat)] == uniforms.tolist()
    samples, wanted = {"uid": UIDS, "entries": IDS}, keep_by_draws(IDS, p, uniforms)
    assert operators.drawn(samples)["kept"] == wanted.astype(int).tolist() and 100 < wanted.sum() < 390
    assert operators.balance(samples)["uid"] == [uid for uid, kept in zip(UIDS, wanted) if kept]


@pytest.mark.parametrize(
    ("variant", "steps"),
    [
        ("filters", ["clean_captions", "text"]),
        ("whole", ["clean_captions", "text", "match_entries", "balance_entries"]),
        ("by_filters", ["clean_captions", "text", "match_entries", "balance_entries"]),
    ],
)
def test_our_command_is_the_recipe_said(tmp_path, variant, steps):
    (tmp_path / f"store-{variant}").mkdir()
    [command] = commands.ours(tmp_path, variant, 123)
    recipe = load_recipe(command[4], command[command.index("--set") + 1 :] if "--set" in command else [])
    assert [step.name for step in recipe.steps] == steps
    assert variant == "filters" or recipe.steps[-1].settings["t"] == 123
    bounds = recipe.steps[1].settings["keep"]
    assert bounds["caption_words"].min == 2 and bounds["caption_words"].max == 77
    assert not (tmp_path / f"store-{variant}").exists()  # nothing computed before is found again


def test_differences_are_told_by_the_first_step_that_decides(tmp_path):
    mine = {
        "a": Found("a dog", "en", 2),
        "b": Found("A Dog", "de", 2),
        "c": Found("a - b", "en", 3),
        "d": Found("", None, 0),
        "e": Found("-", "en", 2),
    }
    theirs = {
        "a": Found("a  dog", "en", 2),
        "b": Found("A Dog", "en", 2),
        "c": Found("a - b", "en", 2),
        "d": Found("&lt;", "en", 2),
        "e": Found("-", "en", 0),
    }
    assert [deciding(mine[uid], theirs[uid]) for uid in "abe"] == ["clean", "language", "words"]
    assert filter_rows(mine, theirs) == [
        {"step": "clean", "other_texts": 2, "captions": 5},
        {
            "step": "clean",
            "ours_only": 0,
            "peer_only": 1,
            "example": {"ours": ["", None, 0], "peer": ["&lt;", "en", 2]},
        },
        {
            "step": "language",
            "ours_only": 0,
            "peer_only": 1,
            "example": {"ours": ["A Dog", "de", 2], "peer": ["A Dog", "en", 2]},
        },
        {"step": "words", "ours_only": 1, "peer_only": 0, "example": {"ours": ["-", "en", 2], "peer": ["-", "en", 0]}},
    ]
    assert filter_rows(mine, mine) == []


def test_our_findings_are_those_of_our_stages(tmp_path):
    captions = ["a &amp; b  of the house", "ein Hund im Park", "12", "dog"]
    pq.write_table(pa.table({"uid": list("abcd"), "text": captions}), tmp_path / "pairs.parquet")
    found = our_findings(tmp_path)
    assert found["a"] == ("a & b of the house", "en", 6)
    assert [found[uid].passes for uid in "abcd"] == [True, False, False, False]


def test_the_cost_is_that_of_the_captions_beyond_the_small_size():
    seconds = {
        ("whole", "ours", 100): [10.0, 12.0, 11.0],
        ("whole", "ours", 1100): [21.0, 22.0, 20.0],
        ("whole", "peer", 100): [30.0, 31.0, 32.0],
        ("whole", "peer", 1100): [231.0, 241.0, 221.0],
    }
    found = text.summary("whole", seconds, [100, 1100])
    assert (found["ours"], found["peer"], found["ratio"]) == (10_000.0, 200_000.0, 20.0)
    assert found["ratio_range"] == [19.09, 21.11] and found["with_startup"] == 11.0


def test_the_peer_s_own_filter_is_compared_with_all_of_ours():
    seconds = {("by_filters", "peer", 10): [5.0, 4.0, 6.0], ("by_filters", "peer", 110): [15.0, 14.0, 17.0]}
    found = text.by_filters(seconds, [10, 110], 10_000.0)
    assert (found["peer"], found["ratio"]) == (100_000.0, 10.0)


def test_captions_are_distinct_and_a_longer_list_begins_with_the_shorter():
    short, source = texts.captions(2000)
    long, _ = texts.captions(3000)
    assert long[:2000] == short and len(long) == 3000
    assert len(set(long)) == 3000 or source == "made captions"
    assert text.threshold(10**5) == 200 and text.threshold(10) == 1
