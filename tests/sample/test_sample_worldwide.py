"""The captions of the worldwide sample: one corpus a language, whatever its variant, and a table of each file."""

import csv
import gzip

import tables
import worldwide


def test_variants_of_a_language_are_one_corpus(tmp_path):
    rows = [
        ("a.png", "Olá", "pt_BR"),
        ("b.png", "Adeus", "pt"),
        ("c.png", "Bon dia", "ca@valencia"),
        ("d.png", "Hi", "en"),
    ]
    tables.write_tsv(tmp_path / "t.tsv", ("path", "caption", "language"), rows)
    flags = worldwide.write_corpora(tmp_path, [tmp_path / "t.tsv"])
    assert flags == [f"{code}={tmp_path / 'corpora' / code}.txt" for code in ("ca", "en", "pt")]
    assert (tmp_path / "corpora/pt.txt").read_text("utf-8") == "Olá\nAdeus\n"


def test_translations_of_a_picture_share_its_url(tmp_path, monkeypatch):
    monkeypatch.setattr(worldwide.fetch, "fetch", lambda *_: None)
    monkeypatch.setattr(worldwide.tables, "write_stamps", lambda *_: None)
    for language in ("de", "fr"):
        with gzip.open(tmp_path / f"multi30k-task1-train.{language}.gz", "wt", encoding="utf-8") as file:
            file.write(f"eins {language}\nzwei\ttab {language}\n")
    _, found = worldwide.write_captions(tmp_path, None, tmp_path)
    read = [list(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t")) for path in found]
    assert [row["url"] for row in read[0]] == [row["url"] for row in read[1]]
    assert [row["caption"] for row in read[1]] == ["eins fr", "zwei tab fr"]
    assert {row["language"] for row in read[0]} == {"de"}
