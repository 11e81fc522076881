"""The files beside the page: numbers before and after against a plain recount, and pictures that hold them."""

import io
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from lxml import html
from PIL import Image

from curation.records import read_record, write_record
from curation.report import entries as entries_module
from curation.report.charts import histogram
from curation.report.drawing import LIGHT
from curation.report.plots import TABLES
from curation.report.report import report
from tests.made_pool import ENTRIES
from tests.made_release import make_release

MARK = "manifest/release.json"
MATCHED = ("balance_entries", "write_shards")  # steps that come after matching
LANGUAGES = [  # as balance_worldwide counts them; of sw nothing is left
    {"language": "de", "t": 3, "tail_share": 0.25, "tail_share_kept": 0.5, "pairs": 30, "pairs_kept": 20},
    {"language": "en", "t": 20, "tail_share": 0.2, "tail_share_kept": 0.4, "pairs": 60, "pairs_kept": 20},
    {"language": "sw", "t": 1, "tail_share": 0.0, "tail_share_kept": None, "pairs": 10, "pairs_kept": 0},
]
SOURCES = [
    {"source": "图片", "weight": 3.0, "pairs": 90, "pairs_kept": 30},
    {"source": "papers", "weight": 1.0, "pairs": 10, "pairs_kept": 10},
]
ASSOCIATIONS = [
    {"attribute": "female", "label": "", "pairs": 100, "share": 0.2, "share_kept": 0.49},
    {"attribute": "female", "label": "عمل", "pairs": 0, "share": None, "share_kept": None},
]


@pytest.mark.parametrize("values", [[-1.7976931348623157e308, 0.3, 0.4], [-1e308, 1e308], [1e308, 1e308]])
def test_sentinels_near_the_largest_number_are_drawn(values):
    picture, beyond = histogram(np.array(values), np.ones(len(values), bool), [0.3], False)
    assert picture.svg().startswith("<svg") and beyond < 3


@pytest.mark.parametrize("value", [-(2**63), 5, 2**53 - 1, 2**53, 2**63 - 1])
def test_a_column_of_one_whole_number_is_drawn(value):
    picture, beyond = histogram(np.full(10, float(value)), np.ones(10, bool), [], True)
    assert picture.svg().startswith("<svg") and beyond == 0


@pytest.fixture(scope="module", params=[0, 1])
def made(tmp_path_factory, request):
    made = make_release(tmp_path_factory.mktemp("made"), digits=request.param)
    report(made.out)
    return made


def read(out, name):
    table = pq.read_table(f"{out}/report/{name}.parquet")
    return table.to_pylist(), {k.decode(): v.decode() for k, v in table.schema.metadata.items()}


def words(caption):
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", caption.lower())


def altered(out, **more):
    """Write release.json again with more in the ledger entries of some steps, or beside them."""
    path = f"{out}/{MARK}"
    mark = read_record(path)
    stages = [step | more.get(step["name"], {}) for step in mark["stages"]]
    beside = {k: v for k, v in more.items() if k not in {s["name"] for s in stages}}
    write_record(path, mark | {"stages": stages} | beside)


def test_each_table_has_its_picture_and_no_other_is_there(made):
    names = ["entry_counts", "language_shares", "word_frequencies"]
    files = {p.name for p in Path(made.out, "report").iterdir()}
    assert files == {f"{name}.{end}" for name in names for end in ("parquet", "png")} | {"caption_lengths.parquet"}
    for table in TABLES:
        if table.name in (*names, "caption_lengths"):
            table.check(pq.read_schema(f"{made.out}/report/{table.name}.parquet"), table.name)


def test_entries_are_counted_before_and_after_as_captions_hold_them(made):
    matched = [u for u, f in made.fate.items() if f is None or f[0] in MATCHED]
    wanted = []
    for number, entry in enumerate(ENTRIES):
        holders = {u for u in matched if entry in made.pairs[u]["caption"].split()}
        counts = {"count": len(holders), "count_kept": len(holders & set(made.kept))}
        wanted += [{"entry_id": number, "language": "", "entry": entry} | counts] if holders else []
    rows, said = read(made.out, "entry_counts")
    assert rows == wanted and any(0 < row["count_kept"] < row["count"] for row in rows)
    came = [u for u, f in made.fate.items() if f is None or f[0] in ("match_entries", *MATCHED)]
    assert said["pairs"] == said["of"] == str(len(came))


def test_words_are_counted_before_and_after(made):
    before = Counter(w for row in made.pairs.values() for w in words(row["caption"]))
    after = Counter(w for uid in made.kept for w in words(made.pairs[uid]["caption"]))
    rows, said = read(made.out, "word_frequencies")
    assert {r["word"]: (r["count"], r["count_kept"]) for r in rows} == {w: (before[w], after[w]) for w in before}
    counts = [r["count"] for r in rows]
    assert counts == sorted(counts, reverse=True)
    assert said == {"recipe": "made", "release": "11" * 16, "pairs": "120", "of": "120"}


def test_languages_are_counted_where_a_bound_asks_for_them(made):
    reached = [u for u, f in made.fate.items() if f is None or f[0] != "clean_captions"]
    german = {u for u in reached if "Haus" in made.pairs[u]["caption"]}
    rows, _ = read(made.out, "language_shares")
    counts = {"en": (len(reached) - len(german), len(made.kept)), "de": (len(german), 0)}
    assert {r["language"]: (r["pairs"], r["pairs_kept"]) for r in rows} == counts
    assert [r["step"] for r in rows] == ["text"] * 2 and [r["t"] for r in rows] == [None] * 2
    assert [r["share"] for r in rows] == [counts[r["language"]][0] / len(reached) for r in rows]
    assert {r["language"]: r["share_kept"] for r in rows} == {"en": 1.0, "de": 0.0}


@pytest.mark.parametrize("name", ["entry_counts", "language_shares", "word_frequencies"])
def test_a_picture_shows_before_and_after_and_says_nothing_of_its_making(made, name):
    data = Path(made.out, "report", f"{name}.png").read_bytes()
    chunks, place = [], 8
    while place < len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        chunks, place = [*chunks, kind], place + size + 12
    assert {*chunks} == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(data)) as image:
        assert image.width == (2120 if name == "language_shares" else 1040)
        colours = dict((c[:3], n) for n, c in image.convert("RGB").getcolors(1 << 20))
    for colour in (LIGHT.kept, LIGHT.dropped):
        assert colours.get(tuple(bytes.fromhex(colour[1:])), 0) > 100, colour


def test_a_second_report_writes_the_same_bytes(made):
    folder = Path(made.out, "report")
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    (folder / "entry_counts.png").unlink()
    (folder / "word_frequencies.parquet").write_bytes(b"torn")
    report(made.out)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first


def test_of_many_pairs_those_of_smallest_uid_are_counted(tmp_path, monkeypatch):
    made = make_release(tmp_path, digits=1)
    monkeypatch.setattr(entries_module, "READ", 20)
    report(made.out)
    rows, said = read(made.out, "entry_counts")
    came = sorted(u for u, f in made.fate.items() if f is None or f[0] in ("match_entries", *MATCHED))
    assert said["of"] == str(len(came)) and 20 <= int(said["pairs"]) < 40
    first = came[: int(said["pairs"])]
    kept = set(made.kept)
    for row in rows:
        holders = [u for u in first if row["entry"] in made.pairs[u]["caption"].split()]
        assert (row["count"], row["count_kept"]) == (len(holders), len([u for u in holders if u in kept]))
    assert {r["entry"] for r in rows} >= {"house"}


def test_without_the_store_what_was_made_before_stays(tmp_path):
    made = make_release(tmp_path, size=60)
    report(made.out)
    first = {p.name: p.read_bytes() for p in Path(made.out, "report").iterdir()}
    shutil.rmtree(made.pool)
    assert report(made.out)["files"] == []
    assert {p.name: p.read_bytes() for p in Path(made.out, "report").iterdir()} == first


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """(folder, page) of a release whose ledger has languages, sources and associations, and that has phases."""
    made = make_release(tmp_path_factory.mktemp("told"), size=60)
    weighed = {"attributes": {"female": {"words": ["she"], "target": 0.6}}, "labels": {}}
    altered(
        made.out,
        balance_entries={"languages": LANGUAGES},
        pixels={"sources": SOURCES},
        clean_captions={"associations": ASSOCIATIONS, "settings": weighed},
        phases=[
            {"name": "pruned", "sets": ["true"], "epochs": 30.0, "shards": [[0, 2]], "samples": 20},
            {"name": "full", "lr": 1e-05, "shards": [[0, 2], [3, 3]], "samples": 31},
        ],
    )
    report(made.out)
    return made.out, html.parse(f"{made.out}/report.html").getroot()


def cells(page, name):
    [section] = page.xpath(f'//section[@id="{name}"]')
    return [[" ".join(c.text_content().split()) for c in row.xpath("td")] for row in section.xpath(".//tbody/tr")]


def drawn(page, name):
    """The text of a section's picture."""
    import base64

    from lxml import etree

    [uri] = page.xpath(f'//section[@id="{name}"]//img/@src')
    return "".join(etree.fromstring(base64.b64decode(uri.partition(",")[2])).itertext())


def test_thresholds_and_tails_of_languages_are_kept_and_shown(told):
    out, page = told
    rows, said = read(out, "language_shares")
    assert [r["language"] for r in rows] == ["en", "de", "sw"]
    assert rows[1] == LANGUAGES[0] | {"step": "balance_entries", "share": 0.3, "share_kept": 0.5, "kept_share": 2 / 3}
    assert (rows[2]["share_kept"], rows[2]["kept_share"], rows[2]["tail_share_kept"]) == (0.0, 0.0, None)
    assert said["pairs"] == said["of"] == "60"
    shown = cells(page, "languages")
    assert shown[0] == ["en", "60", "20", "33.3 %", "60.0 %", "50.0 %", "20", "20.0 %", "40.0 %"]
    assert shown[2] == ["sw", "10", "0", "0 %", "10.0 %", "0 %", "1", "0 %", "–"]
    text = drawn(page, "languages")
    assert all(word in text for word in ("sw", "t 20", "t 3", "share of matches in the tail", "before", "after"))


def test_sources_are_kept_and_shown_in_their_script(told):
    out, page = told
    rows, _ = read(out, "sources")
    assert [(r["source"], r["share"], r["share_kept"], r["weight"]) for r in rows] == [
        ("图片", 0.9, 0.75, 3.0),
        ("papers", 0.1, 0.25, 1.0),
    ]
    assert cells(page, "sources")[0] == ["图片", "3", "90", "30", "90.0 %", "75.0 %"]
    assert "图片" in drawn(page, "sources")


def test_associations_are_kept_with_their_targets(told):
    out, page = told
    rows, _ = read(out, "associations")
    assert [r["target"] for r in rows] == [0.6, 0.6]
    assert {k: rows[0][k] for k in ASSOCIATIONS[0]} == ASSOCIATIONS[0]
    assert cells(page, "associations") == [
        ["female", "100", "60.0 %", "20.0 %", "49.0 %"],
        ["female · عمل", "0", "60.0 %", "–", "–"],
    ]


def test_phases_say_which_shards_and_for_how_long(told):
    assert cells(told[1], "phases") == [
        ["pruned", "0 to 2", "20", "sets = trueepochs = 30"],
        ["full", "0 to 2, 3", "31", "lr = 1e-05"],
    ]


def test_what_a_release_does_not_have_is_no_section(made):
    page = html.parse(f"{made.out}/report.html").getroot()
    found = {s.get("id") for s in page.xpath("//section")}
    assert {"entries", "languages"} <= found and not found & {"sources", "associations", "phases"}


def test_letters_that_the_font_of_a_png_lacks_are_escaped():
    from curation.report.drawing import Theme, _glyphs

    theme = Theme("", "", "", "", "", _glyphs())
    assert theme.label("Ünïcode Ж 图片") == "Ünïcode Ж \\u56fe\\u7247"
    assert Theme("", "", "", "", "").label("图片") == "图片"
