"""A takedown: what lists name is gone from tars, manifest and pool, the rest is there byte for byte; and proof."""

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.errors import BrokenTableError, RecipeError, StaleOutputError
from curation.explain import why
from curation.pool import Pool
from curation.records import read_record, write_record
from curation.report.gallery import dropped_groups
from curation.report.pairs import Pairs
from curation.shards import derive
from curation.shards.forget import forget
from curation.shards.manifest import Release
from curation.shards.verify import verify
from curation.trainer.layouts import pool_pictures
from tests.made_release import make_release
from tests.shards.damage import members_of


@pytest.fixture
def made(tmp_path):
    return make_release(tmp_path / "made", size=200)


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Without the report, which costs seconds, but for the test that asks for it."""
    if request.node.name != "test_verdicts_and_reasons":
        monkeypatch.setattr("curation.report.report.report", lambda out: None)


@pytest.fixture
def listed(tmp_path):
    """Call with lines to get a file that has them."""

    def make(*lines, name="list.txt"):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        return str(tmp_path / name)

    return make


def rows_of(out) -> dict[str, dict]:
    return {row["uid"]: row for row in Release.open(str(out)).samples().to_pylist()}


def members(out) -> dict[str, bytes]:
    tars = sorted(Path(out, "shards").glob("*.tar"))
    return {name: data for tar in tars for name, data in members_of(tar)}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_shard(out, number: int) -> list[str]:
    return [uid for uid, row in rows_of(out).items() if row["shard"] == number]


def test_uids(made, listed, tmp_path):
    gone, out = in_shard(made.out, 1)[2:5], tmp_path / "new"
    result = forget(made.out, out=str(out), uids=listed(*gone), signed_off_by="J. Doe")
    assert verify(str(out)) == [] == verify(made.out)
    before, after = members(made.out), members(out)
    assert after == {name: data for name, data in before.items() if name.partition(".")[0] not in gone}
    rows, old = rows_of(out), rows_of(made.out)
    assert rows.keys() == old.keys() - set(gone)
    assert all({**rows[u], "offset": 0} == {**old[u], "offset": 0} for u in rows)
    tars = [Path(made.out, "shards/00000000.tar"), Path(made.out, "shards/00000001.tar")]
    assert os.path.samefile(tars[0], out / "shards/00000000.tar")
    diff = json.loads(Path(result["diff"]).read_text())
    assert diff["signed_off_by"] == "J. Doe" and diff["scan"]["found"] == 0 and diff["scan"]["samples"] == len(rows)
    [changed] = diff["shards_changed"]
    assert (changed["sha256"], changed["sha256_now"]) == (sha256(tars[1]), sha256(out / "shards/00000001.tar"))
    removed = pq.read_table(out / diff["removed"]["name"]).to_pylist()
    assert [(r["uid"], r["shard"], r["list"], r["line"]) for r in removed] == [
        (uid, 1, "list.txt", n) for n, uid in enumerate(gone, 1)
    ]


def test_verdicts_and_reasons(made, listed, tmp_path, capsys):
    gone, dropped = in_shard(made.out, 0)[0], made.dropped("no_entry")[0]
    forget(made.out, out=str(tmp_path / "new"), uids=listed("# asked for", gone, dropped))
    verdicts = {row["uid"]: row for row in Release.open(str(tmp_path / "new")).subset().to_pylist()}
    assert verdicts.keys() == made.fate.keys()
    assert verdicts[gone] == {
        "uid": gone, "keep": False, "drop_stage": "forget", "drop_reason": "forgotten", "drop_value": "list.txt line 2"
    }  # fmt: skip
    assert verdicts[dropped]["drop_reason"] == made.fate[dropped][1] and verdicts[dropped]["drop_value"] is None
    others = {row["uid"]: row for row in Release.open(made.out).subset().to_pylist()}
    assert all(verdicts[uid] == others[uid] for uid in verdicts.keys() - {gone, dropped})
    why(str(tmp_path / "new"), gone)
    told = capsys.readouterr().out
    assert "dropped by forget: forgotten (value: list.txt line 2)" in told and made.pairs[gone]["caption"] not in told
    report = (tmp_path / "new/report.html").read_text()
    assert gone not in report and "forgotten" in report
    assert told_of(tmp_path / "new", dropped, capsys) == (False, False, False, False)


def told_of(out, uid: str, capsys) -> tuple[bool, bool, bool, bool]:
    """Whether the report has caption, value and picture of a pair without an entry, and `curate why` the caption."""
    groups = dropped_groups(Pairs.sample(Release.open(str(out)), 1000))
    [card] = [
        card for group in groups if group["reason"] == "no_entry" for card in group["cards"] if card["uid"] == uid
    ]
    why(str(out), uid)
    shown = capsys.readouterr().out
    return bool(card["caption"]), bool(card["detail"]), bool(card["picture"]), "caption" in shown


def test_hashes_urls_domains_and_articles(made, listed, tmp_path):
    rows = rows_of(made.out)
    by_hash, by_url = list(rows)[3], next(u for u, r in rows.items() if (r["url"] or "").endswith("96.jpg"))
    result = forget(
        made.out,
        out=str(tmp_path / "new"),
        hashes=listed(rows[by_hash]["sha256"], name="h"),
        urls=listed("https://EXAMPLE.com/96.jpg#x", name="u"),
        articles=listed(rows[list(rows)[7]]["document"].replace(" ", "_"), name="a"),
    )
    assert rows.keys() - rows_of(tmp_path / "new").keys() == {by_hash, by_url}
    assert (
        verify(str(tmp_path / "new")) == [] and json.loads(Path(result["diff"]).read_text())["scan"]["pictures_hashed"]
    )
    everything = forget(made.out, out=str(tmp_path / "all"), domains=listed("example.com"))
    left = rows_of(tmp_path / "all")
    assert everything["samples_removed"] == len(rows) - len(left) and left.keys() == {
        u for u, r in rows.items() if "//example.com" not in r["url"] and "@example.com" not in r["url"]
    }
    assert verify(str(tmp_path / "all")) == []


def test_the_pool_is_told(made, listed, tmp_path, capsys):
    pool, gone = Pool.open(made.pool), in_shard(made.out, 0)[1]
    rows_with_picture = sum(map(len, pool_pictures(made.pool, 10**6).captions))
    dropped = made.dropped("no_entry")[0]
    forget(made.out, out=str(tmp_path / "a"), uids=listed(gone, dropped), exclude=False)
    assert Pool.open(made.pool) == pool
    assert told_of(made.out, dropped, capsys) == (True, True, True, True)
    assert told_of(tmp_path / "a", dropped, capsys) == (False, False, False, False)
    forget(made.out, out=str(tmp_path / "b"), uids=listed(gone))
    told = Pool.open(made.pool)
    assert (told.rows, told.forgotten_rows) == (pool.rows - 1, 1) and told.key != pool.key
    assert told.forgotten_pairs()["uid"].to_pylist() == [gone]
    left, image = pool_pictures(made.pool, 10**6), made.pairs[gone]["image_id"]
    assert sum(map(len, left.captions)) == rows_with_picture - 1 and image not in left.keys
    assert [pool_pictures(made.pool, n).keys for n in (9, 0)] == [left.keys[:9], []]
    other = in_shard(made.out, 1)[0]
    forget(str(tmp_path / "b"), out=str(tmp_path / "c"), uids=listed(other, gone))
    again = Pool.open(made.pool)
    assert (again.rows, again.forgotten_rows) == (pool.rows - 2, 2)
    at_once = make_release(tmp_path / "other", size=200)
    forget(at_once.out, out=str(tmp_path / "d"), uids=listed(gone, other))
    assert Pool.open(at_once.pool).key == again.key  # whichever way it came to it
    assert verify(str(tmp_path / "c")) == []
    assert len(Release.open(str(tmp_path / "c")).mark["changes"]) == 4


def test_without_a_pool(made, listed, tmp_path, capsys, monkeypatch):
    os.rename(made.pool, tmp_path / "moved")
    gone = in_shard(made.out, 0)[1]
    assert not forget(made.out, out=str(tmp_path / "a"), uids=listed(gone))["excluded_from_pool"]
    assert "nothing keeps these pairs out of a later run; name it with --pool" in capsys.readouterr().err
    assert not os.path.exists(made.pool)
    os.rename(f"{made.out}/recipe.json", tmp_path / "recipe.json")
    monkeypatch.chdir(tmp_path / "moved")  # which is not what no place means
    assert not forget(made.out, out=str(tmp_path / "d"), uids=listed(gone))["excluded_from_pool"]
    assert "the release does not say where its pool is: nothing keeps" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    os.rename(tmp_path / "recipe.json", f"{made.out}/recipe.json")
    assert forget(made.out, out=str(tmp_path / "b"), uids=listed(gone), pool=str(tmp_path / "moved"))[
        "excluded_from_pool"
    ]
    assert Pool.open(str(tmp_path / "moved")).forgotten_rows == 1
    for place in ("nowhere", "file/below"):
        with pytest.raises(RecipeError, match="no pool at"):
            forget(made.out, out=str(tmp_path / "c"), uids=listed(gone), pool=str(tmp_path / place))
    assert not (tmp_path / "nowhere").exists()


def test_copies_where_links_cannot_be(made, listed, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    gone = in_shard(made.out, 1)[0]
    forget(made.out, out=str(tmp_path / "new"), uids=listed(gone))
    assert verify(str(tmp_path / "new")) == []
    assert os.stat(tmp_path / "new/shards/00000000.tar").st_nlink == 1


def test_killed_at_any_write_and_run_again(made, listed, tmp_path, monkeypatch):
    """Nothing but a whole release counts: after each place where it can stop, the same command gives the same bytes."""
    files = listed(in_shard(made.out, 0)[0], in_shard(made.out, 1)[0])
    forget(made.out, out=str(tmp_path / "whole"), uids=files)
    wanted = sha256(tmp_path / "whole/manifest/release.json")
    calls = 0
    for stop in (0, 2, 5, 8, 11, 13):
        out = tmp_path / f"stopped{stop}"
        left = [stop]
        fsync = os.fsync

        def stopping(handle, left=left, fsync=fsync):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            fsync(handle)

        monkeypatch.setattr(os, "fsync", stopping)
        try:
            forget(made.out, out=str(out), uids=files)
        except KeyboardInterrupt:
            calls += 1
        monkeypatch.setattr(os, "fsync", fsync)
        if (out / "manifest/release.json").exists():
            assert verify(str(out)) == []
        else:
            with pytest.raises(BrokenTableError):
                Release.open(str(out))
        forget(made.out, out=str(out), uids=files)
        assert sha256(out / "manifest/release.json") == wanted
    assert calls == 6
    out, drawn = tmp_path / "stopped_last", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.shards.forget.remove_folder", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(made.out, out=str(out), uids=files)
    monkeypatch.setattr("curation.report.report.report", drawn.append)
    forget(made.out, out=str(out), uids=files)
    assert drawn == [str(out)] and not (out / "manifest/parts").exists()


def test_refusals(made, listed, tmp_path):
    gone = in_shard(made.out, 0)[0]
    with pytest.raises(RecipeError, match="nothing to forget"):
        forget(made.out, out=str(tmp_path / "new"))
    with pytest.raises(StaleOutputError, match="is the release itself"):
        forget(made.out, out=made.out, uids=listed(gone))
    forget(made.out, out=str(tmp_path / "new"), uids=listed(gone))
    with pytest.raises(StaleOutputError, match="holds something else already"):
        forget(made.out, out=str(tmp_path / "new"), uids=listed(in_shard(made.out, 1)[0]))
    tar = Path(made.out, "shards/00000000.tar")
    data = bytearray(tar.read_bytes())
    data[5000] ^= 1
    tar.unlink()
    tar.write_bytes(data)
    with pytest.raises(BrokenTableError, match=r"wanted sha256 .*verify --fix mends"):
        forget(made.out, out=str(tmp_path / "other"), uids=listed(gone))
    assert not (tmp_path / "other/manifest/release.json").exists()


def test_a_scan_that_finds_something_stops_it(made, listed, tmp_path, monkeypatch):
    gone = in_shard(made.out, 0)[0]
    monkeypatch.setattr(derive, "rewrite_shard", lambda source, out, number, *_: derive.keep_shard(source, out, number))
    with pytest.raises(BrokenTableError, match="a scan found 2 samples that were to be forgotten"):
        forget(made.out, out=str(tmp_path / "new"), uids=listed(gone))
    assert not (tmp_path / "new/manifest/release.json").exists()


def test_a_shard_of_which_nothing_is_left(made, listed, tmp_path):
    gone = in_shard(made.out, 0)
    forget(made.out, out=str(tmp_path / "new"), uids=listed(*gone))
    assert verify(str(tmp_path / "new")) == []
    assert Release.open(str(tmp_path / "new")).tars[0]["rows"] == 0


def test_vectors_beside_the_tars(made, listed, tmp_path):
    """As write_shards.embeddings leaves them: a row per sample, in their order."""
    old = Release.open(made.out)
    mark = {n: v for n, v in old.mark.items() if n != "digest"} | {"embeddings": []}
    for number, tar in enumerate(old.tars):
        path = Path(made.out, f"shards/{number:08d}.image_embedding.npy")
        np.save(path, np.arange(tar["rows"] * 2, dtype=np.float16).reshape(-1, 2) + number)
        digest, size = sha256(path), path.stat().st_size
        mark["embeddings"].append({"name": f"shards/{path.name}", "bytes": size, "rows": tar["rows"], "sha256": digest})
    write_record(str(Path(made.out, "manifest/release.json")), mark)
    gone = in_shard(made.out, 1)[3]
    forget(made.out, out=str(tmp_path / "new"), uids=listed(gone))
    parts = Release.open(str(tmp_path / "new")).mark["embeddings"]
    assert parts[0] == mark["embeddings"][0] and parts[1]["rows"] == mark["embeddings"][1]["rows"] - 1
    left = np.load(tmp_path / "new" / parts[1]["name"])
    whole = np.load(Path(made.out, parts[1]["name"]))
    assert np.array_equal(left, np.delete(whole, 3, axis=0)) and left.dtype == np.float16
    assert sha256(tmp_path / "new" / parts[1]["name"]) == parts[1]["sha256"]
    assert verify(str(tmp_path / "new")) == []
    np.save(tmp_path / "new" / parts[1]["name"], whole)
    assert [fault.partition(": ")[0] for fault in verify(str(tmp_path / "new"))] == [parts[1]["name"]]


def test_npy_of_uids_and_remote_releases(made, tmp_path):
    gone = in_shard(made.out, 0)[:2]
    np.save(tmp_path / "u.npy", np.array([(int(u[:16], 16), int(u[16:], 16)) for u in gone], "u8,u8"))
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(made.out, "/forget/old", recursive=True)
    result = forget("memory://forget/old", out="memory://forget/new", uids=str(tmp_path / "u.npy"))
    assert result["samples_removed"] == 2 and verify("memory://forget/new") == []
    assert rows_of("memory://forget/new").keys() == rows_of(made.out).keys() - set(gone)
    assert read_record("memory://forget/new/recipe.json")["pool"] == made.pool
