"""The files beside the page as real runs leave them: equal to the stages' own tables, made again by a second run."""

import json
import os
import shutil
import socket
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import tables
from curation.files import join
from curation.ingest import ingest
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify
from tests.conftest import EASED
from tests.drawing import COLOURS

SHARES = """
[[stage]]
run = "clean_captions"
[[stage]]
run = "weigh_attributes"
with.attributes.red = { words = ["red"], among = ["red", "green"], target = 0.4 }
with.labels.circle = { words = ["circle"] }
with.max_price = 10.0
[[stage]]
run = "mix_sources"
with.weights = { WEIGHTS }
[[stage]]
run = "write_shards"
"""
WORLDWIDE = """
[inputs]
metadata = "METADATA"
[[stage]]
run = "clean_captions"
[[stage]]
run = "match_entries"
with.mode = "worldwide"
[[stage]]
run = "balance_worldwide"
on = ["match_entries", "match_entries.entry_counts"]
with.t = 3
[[stage]]
run = "write_shards"
"""


def rows(out, name):
    return pq.read_table(f"{out}/report/{name}.parquet").to_pylist()


def ledger(out):
    return {s["name"]: s for s in map(json.loads, Path(out, "ledger.jsonl").read_text().splitlines())}


def side_table(out, step, name):
    release = Release.open(out)
    [number] = [n for n, s in enumerate(release.mark["stages"]) if s["name"] == step]
    folder = release.stage_folder(number)
    return tables.read_arrow(join(folder, name), tables.read_done(folder)["tables"][name]).to_pylist()


def test_entry_counts_are_those_of_the_stage_and_of_the_shards(release):
    found = rows(release, "entry_counts")
    wanted = side_table(release, "match_entries", "entry_counts")
    assert [{k: v for k, v in row.items() if k != "count_kept"} for row in found] == wanted
    captions = Release.open(release).samples(["caption"])["caption"].to_pylist()
    kept = Counter(e for c in captions for e in {"red", "square", "drawing"} & set(c.replace(",", " ").split()))
    assert {r["entry"]: r["count_kept"] for r in found if r["entry"] in kept} == kept and len(kept) == 3


def test_a_second_run_makes_files_again_that_are_lost_and_clears_up(release, pool, model, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(release, out)
    first = {p.name: p.read_bytes() for p in Path(release, "report").iterdir()}
    left = out / "report" / f"sources.png.{socket.gethostname()}-{2**22}-1-{'0' * 32}.tmp"  # of a process that is not
    left.write_bytes(b"half")
    (out / "report" / "entry_counts.parquet").unlink()
    assert run("full", pool, str(out), set=[f"signals.clip={model}", *EASED])["stages_computed"] == 0
    assert {p.name: p.read_bytes() for p in (out / "report").iterdir()} == first
    assert verify(str(out)) == []


def test_shares_of_sources_and_attributes_are_those_of_the_ledger(pool, tmp_path, spark):
    pairs = pq.read_table(next(Path(pool, "pairs").rglob("*.parquet")), columns=["source"])
    [source] = set(pairs["source"].to_pylist())
    recipe, out = tmp_path / "shares.toml", str(tmp_path / "out")
    recipe.write_text(SHARES.replace("WEIGHTS", f'"{source}" = 2.0'))
    run(str(recipe), pool, out)
    steps = ledger(out)
    assert {"pairs", "pairs_kept"} < set(steps["mix_sources"]["sources"][0])
    for name, step in (("sources", "mix_sources"), ("associations", "weigh_attributes")):
        wanted = steps[step][name]
        assert [{k: row[k] for k in wanted[0]} for row in rows(out, name)] == wanted and wanted
    assert {(r["attribute"], r["label"], r["target"]) for r in rows(out, "associations")} == {
        ("red", "", 0.4),
        ("red", "circle", 0.4),
    }
    assert not os.path.exists(f"{out}/report/entry_counts.parquet")
    page = Path(out, "report.html").read_text()
    assert 'id="sources"' in page and 'id="associations"' in page


@pytest.fixture(scope="module")
def worldwide(pictures, tmp_path_factory):
    """A release of captions in three languages, one of them with three captions; entries of each."""
    folder = tmp_path_factory.mktemp("worldwide")
    shutil.copytree(pictures, folder / "pictures")
    german = dict(zip(COLOURS, ["rotes", "grünes", "blaues", "gelbes", "lila", "oranges", "schwarzes", "weißes"]))
    chinese = ["红色的圆形在绿色的背景上", "黑色的正方形很漂亮", "蓝色的圆形在这张照片里"]
    lines = ["path,caption", *(f"0{n}.jpg,{text}" for n, text in enumerate(chinese))]
    for number in range(24):
        if number not in (3, 5):
            colour, path = COLOURS[0 if number < 12 else 1 + number % 7], f"{number:02d}.jpg"  # one is common
            lines += [f"{path},a {colour} shape in the middle of this picture number {number}"]
            lines += [f"{path},ein {german[colour]} Ding in der Mitte dieses Bildes Nummer {number}"]
    (folder / "pictures" / "pairs.csv").write_text("\n".join(lines) + "\n")
    lists = {"en": ("a", "middle", *COLOURS), "de": ("Mitte", "Nummer", *german.values())}
    lists["zh"] = ("圆形", "红色", "蓝色", "黑色")
    entries = [(language, entry) for language in sorted(lists) for entry in sorted(lists[language])]
    columns = {"source": ["made"] * len(entries), "language": [k for k, _ in entries], "entry": [e for _, e in entries]}
    pq.write_table(pa.table(columns), folder / "entries.parquet")
    (folder / "worldwide.toml").write_text(WORLDWIDE.replace("METADATA", str(folder / "entries.parquet")))
    ingest([str(folder / "pictures" / "pairs.csv")], out=str(folder / "pool"))
    run(str(folder / "worldwide.toml"), str(folder / "pool"), str(folder / "out"))
    return str(folder / "out")


def test_thresholds_and_tails_of_each_language_are_those_of_the_ledger(worldwide):
    wanted = {row["language"]: row for row in ledger(worldwide)["balance_worldwide"]["languages"]}
    found = {row["language"]: row for row in rows(worldwide, "language_shares")}
    assert set(found) == set(wanted) >= {"en", "de", "zh"}
    names = ("t", "tail_share", "tail_share_kept", "pairs", "pairs_kept")
    assert {k: [row[n] for n in names] for k, row in found.items()} == {
        k: [row[n] for n in names] for k, row in wanted.items()
    }
    assert found["zh"]["pairs"] == 3 and found["zh"]["pairs_kept"] > 0
    assert found["en"]["t"] == 3 and found["en"]["kept_share"] < 1
    assert 0 < found["en"]["tail_share"] < found["en"]["tail_share_kept"]
    assert sum(row["share"] for row in found.values()) == pytest.approx(1)
    assert 'id="languages"' in Path(worldwide, "report.html").read_text()


def test_entries_of_each_language_are_counted_before_and_after(worldwide):
    found = rows(worldwide, "entry_counts")
    assert [{k: v for k, v in row.items() if k != "count_kept"} for row in found] == side_table(
        worldwide, "match_entries", "entry_counts"
    )
    kept = Release.open(worldwide).samples(["caption"])["caption"].to_pylist()
    counts = {(r["language"], r["entry"]): r["count_kept"] for r in found}
    assert counts["zh", "圆形"] == sum("圆形" in caption for caption in kept) > 0
    assert counts["de", "Mitte"] == sum("Mitte" in caption.split() for caption in kept)
    assert any(r["count_kept"] < r["count"] for r in found)
