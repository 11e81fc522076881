"""The report page of releases made by hand: what stands in it, that it is inert, and that it is the same each time."""

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lxml import etree, html
from PIL import Image

from curation.errors import MissingModelError
from curation.records import read_record, write_record
from curation.report import entries as entries_module
from curation.report import report as report_module
from curation.report.distributions import _distribution
from curation.report.report import report
from curation.shown import plain
from curation.signals.caption_tokens import caption_tokens
from tests.made_release import make_release

ROOT = Path(__file__).parents[2]
SECTIONS = ["funnel", "drops", "distributions", "words", "lengths", "entries", "languages", "kept", "dropped"]
SECTIONS += ["why", "settings"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def text(made):
    names = ["word_frequencies", "caption_lengths", "entry_counts", "language_shares"]
    assert report(made.out) == {"report": f"{made.out}/report.html", "files": names}
    return Path(made.out, "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return html.document_fromstring(text)


def section(page, name):
    [found] = page.xpath(f'//section[@id="{name}"]')
    return found


def uris(page):
    return page.xpath("//img/@src")


def content(uri):
    kind, _, data = uri.partition(";base64,")
    return kind, base64.b64decode(data)


def table(part):
    return [[" ".join(cell.text_content().split()) for cell in row.xpath("td")] for row in part.xpath(".//tbody/tr")]


def test_every_section_is_there_and_counts_are(page, made):
    assert [s.get("id") for s in page.xpath("//section")] == SECTIONS
    numbers = [b.text_content() for b in page.xpath('//div[@class="numbers"]//b')]
    assert numbers == ["120", str(len(made.kept)), str(120 - len(made.kept)), "2"]
    assert page.xpath("//h1")[0].text == "made" and made.pool in page.xpath("//header")[0].text_content()


def test_nothing_in_it_runs_or_reaches_out(page):
    """S2 of the fault matrix, on a page whose captions, urls and broken pictures try."""
    names = {e.tag for e in page.iter() if isinstance(e.tag, str)}
    assert not names & {"script", "iframe", "object", "embed", "form", "input", "base", "link", "audio", "video", "svg"}
    for element in page.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on") and name not in ("style", "srcset", "background", "action"), name
            if name == "src":
                assert value.startswith(("data:image/jpeg;base64,", "data:image/svg+xml;base64,"))
            if name == "href":
                assert re.match(r"https?://[^@]+$", value)
                assert element.get("rel") == "noopener noreferrer"
    assert len(page.xpath("//a")) > 10


def test_hostile_captions_are_shown_as_text(page, made):
    shown = [" ".join(p.text_content().split()) for p in section(page, "kept").xpath('.//p[@dir="auto"]')]
    wanted = [plain(" ".join(made.pairs[uid]["caption"].split())) for uid in made.kept[:24]]
    assert shown == wanted
    assert all(mark in " ".join(shown) for mark in ("<script>", "onerror=", "\\x1b[31m", "</style>"))
    assert not re.search("[\x1b\u202e]", page.text_content())


def test_the_policy_allows_data_images_and_the_one_style_sheet(page):
    [policy] = page.xpath('//meta[@http-equiv="Content-Security-Policy"]/@content')
    [style] = page.xpath("//style")
    digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert rules["style-src"] == f"'sha256-{digest}'" and "script-src" not in rules


def test_pictures_are_re_encoded_and_small(page, made):
    source = Path(made.pool, "images", "made.tar").read_bytes()
    photos = [data for kind, data in map(content, uris(page)) if kind == "data:image/jpeg"]
    assert len(photos) > 30
    for data in photos:
        assert data not in source
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "JPEG" and max(image.size) <= 160 and not image.getexif()


def test_drawings_are_sound_svg_without_scripts_or_links(page):
    drawings = [data for kind, data in map(content, uris(page)) if kind == "data:image/svg+xml"]
    assert len(drawings) >= 8
    for data in drawings:
        for element in etree.fromstring(data).iter(etree.Element):
            assert etree.QName(element).localname not in ("script", "image", "foreignObject", "a")
            assert all(v.startswith("#") for k, v in element.attrib.items() if k.endswith("href"))
    words = "".join(etree.fromstring(drawings[0]).itertext())
    assert all(step in words for step in ("pool", "clean_captions", "write_shards"))
    assert "120" in words and "100 %" in words


def test_drops_are_counted_as_they_were_made(page, made):
    wanted = Counter(fate[:2] for fate in made.fate.values() if fate)
    rows = table(section(page, "drops"))
    assert {(step, reason): int(n) for step, reason, n, *_ in rows} == wanted
    assert [r[3] for r in rows if r[0] == "clean_captions"] == [
        f"{wanted['clean_captions', 'empty_caption'] / 1.2:.1f} %"
    ]


def test_each_bound_says_how_many_it_cuts_off(page, made):
    figures = section(page, "distributions").xpath(".//figure")
    told = {f.xpath("figcaption/b")[0].text: f.text_content() for f in figures}
    names = ["caption_words", "caption_language", "extra.views", "image_min_side_px", "clip_score", "second_score"]
    assert list(told) == names
    reached = 120 - len(made.dropped("empty_caption"))
    assert f"{reached} pairs, {len(made.dropped('caption_words<2'))} outside" in told["caption_words"]
    assert f"{reached} pairs, {len(made.dropped('caption_language not in en'))} outside" in told["caption_language"]
    nulls = len(made.dropped("image_min_side_px is null"))
    small = len(made.dropped("image_min_side_px<32"))
    assert f"{small} outside, {nulls} without a value" in told["image_min_side_px"]
    assert f"{len(made.dropped('clip_score not in top 0.8'))} outside" in told["clip_score"]
    assert "highest dropped value" in told["clip_score"] and "highest dropped" not in told["second_score"]
    assert all(len(f.xpath("img")) == 1 for f in figures)


def test_words_and_entries_are_counted_before_and_after(page, made):
    kept = [made.pairs[uid]["caption"] for uid in made.kept]
    rows = {row[0]: row for row in table(section(page, "entries"))}
    assert int(rows["house"][2]) == sum("house" in c.split() for c in kept)
    matched = [u for u, f in made.fate.items() if f is None or f[0] in ("balance_entries", "write_shards")]
    assert int(rows["house"][1]) == sum("house" in made.pairs[u]["caption"].split() for u in matched)
    changed = {row[0]: row for row in table(section(page, "words"))}
    uses = [re.findall(r"\w+", c.lower()) for c in kept]
    share = 1000 * sum(w.count("house") for w in uses) / sum(map(len, uses))
    assert float(changed["house"][2]) == pytest.approx(share, abs=0.01)


def test_lengths_are_those_of_all_captions(page, made):
    """The table beside the page has every language, the page the pool's figures and the kept ones'."""
    rows = pq.read_table(f"{made.out}/report/caption_lengths.parquet").to_pylist()
    whole = {row["of"]: row for row in rows if row["language"] is None}
    captions = {
        "pool": [p["caption"] for p in made.pairs.values()],
        "kept": [made.pairs[u]["caption"] for u in made.kept],
    }
    for of, texts in captions.items():
        texts = [" ".join(text.split()) for text in texts] if of == "kept" else texts
        tokens = np.sort(caption_tokens(pa.array(texts)).to_numpy())
        found = whole[of]
        assert (found["captions"], found["beyond"]) == (len(texts), int((tokens > 77).sum()))
        assert found["tokens_max"] == tokens[-1] and found["tokens_p50"] == tokens[(len(tokens) - 1) // 2]
        assert sum(row["captions"] for row in rows if row["of"] == of and row["language"]) == len(texts)
    shown = {row[0]: row[1:] for row in table(section(page, "lengths"))}
    assert shown["all captions"][:2] == ["120", str(len(made.kept))]
    languages = {row["language"]: row["captions"] for row in rows if row["of"] == "pool" and row["language"]}
    assert {"en", "de"} < set(languages)
    assert {name: int(row[0]) for name, row in shown.items() if name != "all captions"}.items() <= languages.items()


def test_without_the_vocabulary_lengths_are_left_out(tmp_path, monkeypatch):
    made = make_release(tmp_path, size=20)

    def absent(captions):
        raise MissingModelError("no open_clip")

    monkeypatch.setattr(sys.modules["curation.signals.caption_tokens"], "caption_tokens", absent)
    assert "caption_lengths" not in report(made.out)["files"]
    assert not Path(made.out, "report", "caption_lengths.parquet").exists()
    page = html.parse(f"{made.out}/report.html").getroot()
    assert "no captions whose tokens could be counted" in section(page, "lengths").text_content()


def test_the_gallery_shows_the_smallest_uids(page, made):
    shown = [code.text for code in section(page, "kept").xpath('.//div[@class="card"]//code')]
    assert shown == [uid[:12] for uid in made.kept[:24]]
    for group in section(page, "dropped").xpath(".//div[h3]"):
        reason = group.xpath("h3/code")[0].text
        cards = [code.text for code in group.xpath('.//div[@class="card"]//code')]
        dropped = made.dropped(reason)
        assert 1 <= len(cards) <= 4 and cards == [uid[:12] for uid in dropped[: len(cards)]]
        assert f"{len(dropped)} pairs" in group.xpath("h3")[0].text_content()


def test_a_broken_picture_shows_its_reason(page):
    shown = section(page, "dropped").text_content()
    assert "not_an_image" in shown and "decode_error: jpg header: no scan" in shown


def test_secrets_are_left_out(text):
    assert "hunter2" not in text and "t0ps3cret" not in text


def test_models_and_settings_are_listed(page):
    rows = {row[0]: row for row in table(section(page, "settings"))}
    assert rows["balance_entries"][2] == "t = 20seed = 0"
    assert "caption_words: at least 2" in rows["text"][2]
    assert "made-clip" in rows["clip_score"][2] and "ab" * 32 in rows["clip_score"][2]
    assert "[signals.second_score]" in section(page, "settings").xpath(".//details")[0].text_content()


def test_an_equal_release_gives_equal_bytes(tmp_path, made, text):
    """Whatever hash seed, time zone and cut into parts."""
    first = text.replace(made.pool, "POOL").replace(str(Path(made.out).parent), "X")
    again = make_release(tmp_path, digits=1)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "PYTHONPATH": str(ROOT)}
    code = f"from curation.report.report import report; report({again.out!r})"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    second = Path(again.out, "report.html").read_text(encoding="utf-8")
    assert second.replace(again.pool, "POOL").replace(str(tmp_path), "X") == first
    files = [{p.name: p.read_bytes() for p in Path(out, "report").iterdir()} for out in (made.out, again.out)]
    assert files[0] == files[1] and len(files[0]) == 7


def test_it_works_from_a_zip(tmp_path, made, text):
    with zipfile.ZipFile(tmp_path / "curation.zip", "w") as archive:
        for path in (ROOT / "curation").rglob("*"):
            if path.suffix in (".py", ".html", ".toml", ".json"):
                archive.write(path, path.relative_to(ROOT))
    code = f"import curation.report.report as r; assert '.zip' in r.__file__; r.report({made.out!r})"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "curation.zip")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    assert Path(made.out, "report.html").read_text(encoding="utf-8") == text


def test_a_large_pool_is_sampled_and_says_so(tmp_path, monkeypatch):
    made = make_release(tmp_path, size=80, digits=1)
    monkeypatch.setattr(report_module, "SAMPLE", 40)
    monkeypatch.setattr(entries_module, "READ", 20)
    report(made.out)
    page = html.parse(f"{made.out}/report.html").getroot()
    assert "keyed sample of 40 pairs" in section(page, "distributions").text_content()
    first = sorted(made.pairs)[:40]
    reached = [u for u in first if (made.fate[u] or "none")[0] != "clean_captions"]
    assert f"{len(reached)} pairs" in section(page, "distributions").xpath(".//figure")[0].text_content()
    assert "scaled to these pairs" in section(page, "entries").text_content()
    assert "keyed sample of 40 pairs" in section(page, "languages").text_content()
    assert page.xpath('//div[@class="numbers"]//b')[0].text == "80"


def test_without_shards_pictures_come_from_the_pool(tmp_path):
    made = make_release(tmp_path, size=60, shards=False)
    report(made.out)
    page = html.parse(f"{made.out}/report.html").getroot()
    assert len(section(page, "kept").xpath(".//img")) >= 10
    assert "decode_error" in page.text_content()


def test_languages_are_predicted_where_no_step_asks_for_them(tmp_path):
    made = make_release(tmp_path, size=60, shards=False)
    path = f"{made.out}/manifest/release.json"
    mark = read_record(path)
    stages = [s | {"signals": {}} for s in mark["stages"]]
    signals = {k: v for k, v in mark["signals"].items() if k != "language_prediction"}
    write_record(path, mark | {"stages": stages, "signals": signals})
    assert "language_shares" in report(made.out)["files"]
    rows = pq.read_table(f"{made.out}/report/language_shares.parquet").to_pylist()
    assert (sum(r["pairs"] for r in rows), sum(r["pairs_kept"] for r in rows)) == (60, len(made.kept))
    assert {r["step"] for r in rows} == {"clean_captions"} and len(rows) > 1


def test_a_bound_by_a_list_has_no_histogram():
    values = pa.array(["5", "seven"])
    told = _distribution(values, {"in_file": "listed.txt"}, None)
    assert (told["picture"], told["pairs"], told["null"]) == (None, 2, 0)


def test_what_is_stored_as_the_bound_passes_here_too():
    values = pa.array([0.7, 1.6, 1.7], pa.float32())
    assert _distribution(values, {"min": 0.7, "max": 1.6}, None)["failed"] == 1
    assert _distribution(values, {"in": [0.7, 1.7]}, None)["failed"] == 1
    assert _distribution(values, {"top_fraction": 0.4}, 1.6)["failed"] == 2


def test_without_pool_and_store_it_shows_what_is_left(tmp_path):
    made = make_release(tmp_path, size=60)
    shutil.rmtree(made.pool)
    report(made.out)
    page = html.parse(f"{made.out}/report.html").getroot()
    assert [s.get("id") for s in page.xpath("//section")] == [s for s in SECTIONS if s != "languages"]
    assert len(section(page, "kept").xpath(".//img")) == min(24, len(made.kept))
    assert len(table(section(page, "drops"))) == len({f[:2] for f in made.fate.values() if f})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kept", ["empty pool", "nothing kept"])
def test_an_empty_release_has_a_page(tmp_path, kept):
    made = make_release(tmp_path, size=20, least_words=99, shards=False)
    assert not made.kept
    if kept == "empty pool":
        path = f"{made.out}/manifest/release.json"
        mark = read_record(path)
        empty = [s | {"drops": {}, "rows_in": 0, "rows_out": 0} for s in mark["stages"]]
        counts = {"pool": 0, "kept": 0, "shards": 0}
        write_record(path, mark | {"subset": [], "stages": empty, "counts": counts})
    report(made.out)
    page = html.parse(f"{made.out}/report.html").getroot()
    assert "Nothing was kept." in section(page, "kept").text_content()
