"""The planted benchmark: each fault is what it says, and shares are counted as they are told."""

import io
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import planted
from planting import captions, filters, pictures
from planting.outcome import auc, best_threshold, by_kind, curve, reasons, shares
from planting.pairs import clean_pairs, table_pairs, takeable
from planting.table import ADDING, CLEAN, FAULTS, Row, chosen, faulty, plant

from curation.calibrate import calibrate
from curation.decode import decode
from curation.errors import BadItemError
from curation.recipe import load_recipe
from tests.drawing import draw

NAMES = ("crow", "heron", "lynx", "stork", "otter", "raven", "finch", "mole", "hare", "toad")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A table of 60 drawings, each in English and German; two files are equal, two captions are too short."""
    folder = tmp_path_factory.mktemp("source")
    lines = ["path\tcaption\tlanguage"]
    for number in range(60):
        image, caption = draw(number % 24, (160 + number, 120))
        image.save(folder / f"{number}.png")
        caption = {7: "crow", 8: "a b"}.get(number, f"a {NAMES[number % 10]} beside {caption}")
        lines += [f"{number}.png\t{caption}\ten", f"{number}.png\tein Bild mit der Nummer {number}\tde"]
    (folder / "5.png").write_bytes((folder / "4.png").read_bytes())
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.tsv"


@pytest.fixture(scope="module")
def pairs(source):
    return clean_pairs(str(source), source.parent, None, 0)


def test_pairs_are_left_out_by_rules_that_look_at_no_score(pairs, source):
    assert len(pairs) == 57 == len(table_pairs(source)) - 3
    assert all(takeable(pair.caption) for pair in pairs) and not takeable("crow") and not takeable("a b c")
    assert clean_pairs(str(source), source.parent, 10, 0) == pairs[:10]
    assert pairs[0].translations[0][0] == "de" and pairs[0].read()[:4] == b"\x89PNG"


def test_faults_are_disjoint_and_depend_on_seed_and_key_alone(pairs):
    found = chosen(pairs, 0.05, 0)
    assert [len(found[fault]) for fault in FAULTS] == [3] * len(FAULTS)
    keys = Counter(pair.key for each in found.values() for pair in each)
    assert set(keys.values()) == {1} and len(keys) == len(pairs)
    assert chosen(pairs[::-1], 0.05, 0) == found != chosen(pairs, 0.05, 1)
    for fault in ("digits", "drawn_text", "broken"):
        assert faulty(fault, found[fault][:1], 0)[0] == faulty(fault, found[fault], 0)[0]
    alone = [pair._replace(translations=()) for pair in pairs]
    assert chosen(alone, 0.05, 0)["language"] == []


def test_the_table_says_what_each_row_is(pairs, tmp_path):
    made = plant(pairs, 0.05, 0, tmp_path / "planted")
    table = pq.read_table(made.table)
    assert table.num_rows == len(pairs) + 2 * 3 == len(made.rows)
    counts = Counter(table["planted_fault"].to_pylist())
    assert counts == {CLEAN: 57 - 9 * 3 + 3} | dict.fromkeys(FAULTS, 3) | {CLEAN: len(pairs) - 9 * 3}
    for row in made.rows.values():
        assert (row.group != row.number) == (row.fault in ADDING and row.fault != "evaluation")
        assert (tmp_path / "planted" / row.path).is_file()
    assert len(list(made.evaluation.iterdir())) == 3
    by_number = {row.number: row for row in made.rows.values() if row.fault.startswith("duplicate")}
    assert all(made.rows[row.group].fault == CLEAN for row in by_number.values())


@pytest.mark.parametrize("kind", list(pictures.BREAKS))
def test_broken_pictures_do_not_decode(kind):
    image, _ = draw(3)
    draws = np.random.default_rng(1)
    data = pictures.BREAKS[kind](pictures.saved(image), draws)
    with pytest.raises(BadItemError):
        decode(data)


@pytest.mark.parametrize("kind", list(pictures.EDITS))
def test_edited_pictures_are_other_files_that_decode(kind):
    image, _ = draw(3)
    data = pictures.EDITS[kind](image, np.random.default_rng(1))
    assert decode(data).ndim == 3 and data != pictures.saved(image)
    if kind == "mirror":
        assert (decode(data) == np.asarray(image)[:, ::-1]).all()


def test_pictures_hold_what_was_drawn():
    image, caption = draw(3, (60, 40))
    how, data = pictures.lettered(pictures.saved(image), caption, np.random.default_rng(0))
    shown = Image.open(io.BytesIO(data))
    assert max(shown.size) == pictures.LETTERED_SIDE and how in ("outlined", "plate")
    plain = image.resize(shown.size, Image.Resampling.BICUBIC)
    assert (np.abs(np.asarray(shown, int) - np.asarray(plain)).max(axis=2) > 60).mean() > 0.01
    for seed in range(8):
        _, solid = pictures.solid(b"", "", np.random.default_rng(seed))
        pixels = decode(solid).reshape(-1, 3).astype(int)
        assert np.ptp(pixels, axis=0).max() <= 8  # of 255: JPEG and WebP are not exact


def test_captions_are_faulty_as_they_say():
    draws = np.random.default_rng(0)
    assert captions.swapped(["a b", "A B", "c d", "e f"]) == ["c d", "c d", "e f", "a b"]
    for _ in range(50):
        stuffed = captions.stuffed("two red birds", draws)[1].split()
        assert [word for word in stuffed if not word.isdigit()] == ["two", "red", "birds"]
        assert 2 <= len(stuffed) - 3 <= 5
        how, text = captions.placeholder("", draws)
        assert "#" not in text and how in ("first list", "second list")
        spaced = captions.respaced("two red birds", draws)
        assert spaced != "two red birds" and spaced.replace("&nbsp;", "").split() == ["two", "red", "birds"]


def rows(*faults):
    """Rows numbered from 0; a copy's group is the row before."""
    copy = "duplicate_edited"
    return {n: Row(n, f, "x" if f == copy else "", n - 1 if f == copy else n, "", "") for n, f in enumerate(faults)}


def test_one_of_a_pair_and_its_copy_has_to_stay():
    planted_rows = rows(CLEAN, "duplicate_edited", CLEAN, "duplicate_edited", CLEAN, "duplicate_edited", CLEAN, "solid")
    found = shares(planted_rows, {0, 1, 3, 6})  # both; the copy alone; neither; a clean one alone
    assert found == {CLEAN: 0.25, "duplicate_edited": pytest.approx(2 / 3), "solid": 1.0}
    assert by_kind(planted_rows, {0, 1, 3, 6}, "duplicate_edited") == {"x": 0.6667}
    verdicts = [{"uid": str(n), "keep": n in (0, 1, 3, 6), "drop_stage": "s", "drop_reason": "r"} for n in range(8)]
    assert reasons(verdicts, planted_rows, {str(n): n for n in range(8)}) == {"s: r": 1}


def test_scores_are_compared_with_the_clean_ones():
    rng = np.random.default_rng(0)
    clean, fault = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    wanted = np.mean([(c > f) + 0.5 * (c == f) for c in clean for f in fault])
    assert auc(clean, fault) == pytest.approx(wanted)
    threshold, removed, lost = best_threshold(clean, fault)
    assert (removed, lost) == ((fault < threshold).mean(), (clean < threshold).mean())
    tried = [(fault < t).mean() - (clean < t).mean() for t in np.arange(-4, 5, 0.05)]
    assert removed - lost >= max(tried) - 1e-9
    lost, removed = curve(clean, fault)
    assert lost[0] == removed[0] == 0 and lost[-1] == removed[-1] == 1
    assert np.trapezoid(removed, lost) == pytest.approx(wanted)


def test_recipes_of_all_filters_are_checked(tmp_path):
    for kind in ("sha256", "pdq"):
        (tmp_path / kind).write_text("0" * 64 + "\n")
    (tmp_path / "pictures").mkdir()
    draw(1)[0].save(tmp_path / "pictures" / "1.png")
    file = str(tmp_path / "evaluation.parquet")
    calibrate([str(tmp_path / "pictures")], out=file, threshold=0.9)
    lists = {kind: str(tmp_path / kind) for kind in ("sha256", "pdq")}
    for each in filters.single(lists, file, filters.has_ocr()):
        (tmp_path / "f.toml").write_text(each.text("sample-clip"))
        assert load_recipe(str(tmp_path / "f.toml")).steps[0].name == "clean_captions"
    meant = [each.target for each in filters.SINGLE + filters.OCR if each.target]
    assert len(meant) == len(set(meant)) and set(meant) < set(FAULTS)


def test_the_whole_of_it(spark, model, source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(filters, "WHOLE", ("datacomp_basic",))
    some = [
        each for each in filters.SINGLE if each.target in ("empty", "language", "broken") or each.name == "dedup_pairs"
    ]
    monkeypatch.setattr(filters, "SINGLE", tuple(some))
    flags = [
        "planted.py",
        "--work",
        str(tmp_path),
        "--pairs",
        str(source),
        "--clip",
        model,
        "--rate",
        "0.05",
        "--no-ocr",
    ]
    monkeypatch.setattr(sys, "argv", flags)
    planted.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads((tmp_path / "planted.json").read_text()) and result["clean_pairs"] == 57
    wanted = {"empty": 1, "broken": 1, "duplicate_exact": 1, "language": 1}
    assert {fault: result["targets"][fault]["removed"] for fault in wanted} == wanted
    assert result["filters"]["clean_captions"][CLEAN] == 0 and result["ingest"][CLEAN] == 0
    assert 0 < result["scores"]["clip_score"]["swapped"]["auc"] < 1
    assert (tmp_path / "planted.png").read_bytes()[:4] == b"\x89PNG"
    assert "| caption_language en |" in (tmp_path / "planted.md").read_text()
    monkeypatch.setattr(sys, "argv", [*flags[:-2], "0.1", "--no-ocr"])
    with pytest.raises(SystemExit, match="other planted pairs"):
        planted.main()
