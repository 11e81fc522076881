"""What a task counts: the sums are those of a plain loop, whatever it holds at a time."""

from collections import Counter

import pytest

from curation.metadata import counting
from curation.metadata.counting import count_ngrams
from curation.methods import ngram_counts

TEXT = "A red car, a red bike.\nthe internationalisation of a car\n" + "a b " * 50 + "\n12\n"


def counted(path, longest=256, wanted=None, language="en"):
    """Uni-grams, bi-grams and what was read, summed over all batches; how many rows there were."""
    words, pairs, read, rows = Counter(), Counter(), Counter(), 0
    unit = {"kind": "text", "uri": str(path), "language": language}
    for batch in count_ngrams(longest, wanted)(unit):
        rows += batch.num_rows
        for row in batch.to_pylist():
            if row["language"] is None:
                assert row["word"] == path.name
                read[row["next"]] += row["count"]
            elif row["next"] is None:
                words[row["word"]] += row["count"]
            else:
                pairs[f"{row['word']} {row['next']}"] += row["count"]
    return words, pairs, read, rows


@pytest.mark.parametrize("held", [1, 5, 1 << 19])
def test_counts_are_those_of_a_plain_loop(tmp_path, monkeypatch, held):
    monkeypatch.setattr(counting, "HELD", held)
    monkeypatch.setattr(counting, "BATCH_ROWS", 3)
    (tmp_path / "a.txt").write_text(TEXT)
    words, pairs, read, rows = counted(tmp_path / "a.txt")
    assert (words, pairs) == ngram_counts([TEXT])
    assert read == {"documents": 4} and (rows > len(words) + len(pairs) + 1) == (held < 10)


def test_texts_of_one_word_are_not_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "HELD", 3)
    (tmp_path / "a.txt").write_text("a\nb\nc\n" * 4)
    words, _, _, rows = counted(tmp_path / "a.txt")
    assert words == {"a": 4, "b": 4, "c": 4} and rows == 3 * 4 + 1


def test_a_word_that_is_too_long_breaks_the_chain(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    words, pairs, _, _ = counted(tmp_path / "a.txt", longest=19)
    assert "internationalisation" not in words and "the internationalisation" not in pairs
    assert pairs["of a"] == 1 and "the of" not in pairs
    assert "internationalisation" in counted(tmp_path / "a.txt", longest=20)[0]


def test_other_languages_are_not_counted(tmp_path):
    (tmp_path / "a.txt").write_text("ein Hund im Park\nun chien dans le parc\n12\n")
    words, _, read, _ = counted(tmp_path / "a.txt", wanted=["fr"], language=None)
    assert words == Counter(["un", "chien", "dans", "le", "parc"])
    assert read == {"documents": 1, "other_language": 1, "no_language": 1}
