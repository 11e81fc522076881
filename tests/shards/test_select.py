"""Any selection at train time: uids, bounds as recipes write them, weights; each against a plain rule over the rows."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.shards.captions import drawn_captions
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release
from curation.shards.select import select
from tests.shards.damage import rewrite_table

SCORES = [0.1, 0.2, 0.3, 0.3, 0.3, 0.5, None, math.nan, math.inf, 0.9]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    from tests.shards.conftest import write_release

    out = write_release(tmp_path_factory.mktemp("made") / "release", samples=30, per_shard=7)
    for number in range(5):
        rewrite_table(out, f"manifest/samples/{number:08d}.parquet", _with_scores)
    return str(out)


def _with_scores(table: pa.Table) -> pa.Table:
    numbers = [int(document) for document in table["document"].to_pylist()]
    table = table.drop_columns(["clip_score"])
    table = table.append_column("clip_score", pa.array([SCORES[n % 10] for n in numbers], pa.float32()))
    table = table.append_column("cluster", pa.array([n % 4 if n % 5 else None for n in numbers], pa.int32()))
    table = table.append_column("flagged", pa.array([n % 3 == 0 for n in numbers], pa.bool_()))
    return table.append_column("heavy", pa.array([float(n % 3) for n in numbers], pa.float64()))


@pytest.fixture(scope="module")
def rows(out):
    return Release.open(out).samples().to_pylist()


def uids(out, **settings) -> list[str]:
    return [sample["uid"] for sample in ManifestDataset(out, **settings)]


def finite(row) -> bool:
    return row["clip_score"] is not None and math.isfinite(row["clip_score"])


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ({"clip_score": {"min": 0.3}}, lambda r: finite(r) and r["clip_score"] >= 0.3),
        ({"clip_score": {"max": 0.3}}, lambda r: finite(r) and r["clip_score"] < 0.4),
        ({"clip_score": {"min": 0.9}}, lambda r: finite(r) and r["clip_score"] > 0.8),
        ({"clip_score": {"in": [0.1, 0.5]}}, lambda r: finite(r) and (r["clip_score"] < 0.2 or r["clip_score"] == 0.5)),
        ({"clip_score": {"min": 0.15, "max": 0.6}}, lambda r: finite(r) and 0.15 <= r["clip_score"] <= 0.6),
        ({"cluster": {"in": [1, 3]}}, lambda r: r["cluster"] in (1, 3)),
        ({"cluster": {"min": 2}, "source": {"in": ["made"]}}, lambda r: (r["cluster"] or 0) >= 2),
        ({"source": {"in": ["other"]}}, lambda r: False),
        ({"flagged": {"in": [True]}}, lambda r: r["flagged"]),
        ({"width": {"max": 66}}, lambda r: r["width"] <= 66),
    ],
)
def test_bounds(out, rows, where, rule):
    found = uids(out, where=where)
    assert sorted(found) == sorted(r["uid"] for r in rows if rule(r))
    assert found == [uid for uid in uids(out) if uid in set(found)]  # in the order in which they were anyway


@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.34, 0.5, 0.99, 1])
@pytest.mark.parametrize("rule", ["exact", "datacomp"])
def test_top_fraction(out, rows, share, rule):
    if share == 1 and rule == "datacomp":
        return
    scored = sorted((-r["clip_score"], r["uid"]) for r in rows if finite(r))
    count = int(len(scored) * share)
    wanted = scored[:count] if rule == "exact" else [s for s in scored if s[0] <= scored[count][0]]
    bound = {"top_fraction": share, "rule": rule}
    assert sorted(uids(out, where={"clip_score": bound})) == sorted(uid for _, uid in wanted)


def test_lists_of_uids_and_of_values(out, rows, tmp_path):
    some = [r["uid"] for r in rows[3:9]]
    words = np.array([(int(u[:16], 16), int(u[16:], 16)) for u in some], "u8,u8")
    np.save(tmp_path / "some.npy", words)
    (tmp_path / "some.txt").write_text("\n".join([*some, "f" * 32]))
    for given in (some, str(tmp_path / "some.npy"), str(tmp_path / "some.txt"), iter(some)):
        assert sorted(uids(out, uids=given)) == sorted(some)
    assert sorted(uids(out, where={"uid": {"in_file": str(tmp_path / "some.txt")}})) == sorted(some)
    both = uids(out, uids=some, where={"cluster": {"in": [1]}})
    assert sorted(both) == sorted(r["uid"] for r in rows[3:9] if r["cluster"] == 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"where": {"nothing": {"min": 1}}}, r"no column \['nothing'\]; known: .*clip_score"),
        ({"where": {"clip_score": {"mim": 1}}}, "where clip_score .*Extra inputs"),
        ({"where": {"clip_score": {"in": ["a"]}}}, "wanted a column of kind text"),
        ({"where": {"source": {"min": 1}}}, "wanted a column of kind number, source is string"),
        ({"weights": "nothing"}, r"weights of .*no column \['nothing'\]"),
        ({"weights": "clip_score"}, "wanted finite numbers of at least 0, found 9 others"),
        ({"weights": {"a": 1}, "uids": "/no/file"}, "no file /no/file"),
        ({"columns": ["width", "nope"]}, r"columns of .*no column \['nope'\]; known: .*clip_score"),
        ({"samples": 3}, "samples: wanted weights too"),
    ],
)
def test_refusals(out, settings, message):
    with pytest.raises(RecipeError, match=message):
        ManifestDataset(out, **settings)


def test_weights(out, rows):
    heavy = {r["uid"]: r["heavy"] for r in rows}
    expected = {uid: 45 * w / sum(heavy.values()) for uid, w in heavy.items()}
    total: Counter[str] = Counter()
    dataset = ManifestDataset(out, weights="heavy", samples=45)
    for epoch in range(16):
        dataset.set_epoch(epoch)
        found = [sample["uid"] for sample in dataset]
        assert len(found) == 45 == len(dataset)
        counts = Counter(found)
        assert all(abs(counts[uid] - share) < 1 for uid, share in expected.items())
        total.update(found)
    assert all(abs(total[uid] / 16 - share) < 0.5 for uid, share in expected.items())
    assert uids(out, weights=heavy, samples=45, epoch=15) == found
    dealt = [uids(out, weights="heavy", samples=45, epoch=15, rank=r, world=3) for r in range(3)]
    assert [uid for rank in dealt for uid in rank] == found
    one = rows[4]["uid"]
    assert uids(out, weights={one: 2.0}, samples=5) == [one] * 5 and uids(out, weights={}) == []


def test_columns_go_with_the_samples(out, rows):
    found = {s["uid"]: (s["cluster"], s["width"]) for s in ManifestDataset(out, columns=["cluster", "width"])}
    assert found == {r["uid"]: (r["cluster"], r["width"]) for r in rows}


def test_the_key_of_a_selection(out, rows):
    release = Release.open(out)
    some = [r["uid"] for r in rows[:5]]
    assert select(release, some, None, None).key == select(release, iter(some[::-1]), {"width": {"min": 1}}, None).key
    ways = [(None, None, None), (some, None, None), (some, None, dict.fromkeys(some, 2))]
    firsts = [release.shard_samples(shard, ["uid"])["uid"][:2].to_pylist() for shard in range(3)]  # same rows of each
    ways += [(uids, None, None) for uids in firsts]
    assert len({select(release, *how).key for how in ways}) == len(ways)


def captions(*texts, kinds=("rewrite",), negative=False):
    return [
        {"text": t, "kind": k, "model": None, "language": None, "negative": negative} for t, k in zip(texts, kinds * 9)
    ]


def test_one_of_several_captions():
    """LaCLIP's: P(original) = (1 + rewrites of fewer than two words) / 5."""
    n = 4000
    others = captions("a rewrite", "another one", "short", "the last")
    lists = [others, None, captions("what it does not show", negative=True)]
    uids = [f"{i:032x}" for i in range(3 * n)]
    table = pa.table(
        {"uid": uids, "caption": ["the original"] * 3 * n, "captions": [lists[i % 3] for i in range(3 * n)]}
    )
    drawn = drawn_captions(table, np.zeros(3 * n, np.int64), 0, 0, True)
    counts = Counter(drawn[::3])
    assert counts["the original"] == pytest.approx(n * 2 / 5, rel=0.06) and counts["a rewrite"] == pytest.approx(
        n / 5, rel=0.1
    )
    assert set(drawn[1::3]) == set(drawn[2::3]) == {"the original"}
    weighed = drawn_captions(table, np.zeros(3 * n, np.int64), 0, 0, {"original": 1, "rewrite": 1.5})
    assert Counter(weighed[::3])["another one"] == pytest.approx(n * 1.5 / 7, rel=0.1)
    assert set(drawn_captions(table, np.zeros(3 * n, np.int64), 0, 0, {"other": 1.0})) == {"the original"}
    again = drawn_captions(table.take(pa.array([6, 3, 0])), np.zeros(3, np.int64), 0, 0, True)
    assert again == [drawn[6], drawn[3], drawn[0]]  # a function of the uid
    assert drawn_captions(table, np.zeros(3 * n, np.int64), 0, 1, True) != drawn
    assert drawn_captions(table, np.ones(3 * n, np.int64), 0, 0, True) != drawn
