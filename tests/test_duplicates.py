"""Who stays in a group of duplicates, against plain loops on random graphs, chains and stars."""

import numpy as np
import pytest

from curation.duplicates import EARLIER, EDGE_DDL, collapsed, decided, equal, with_equals

RANKS = "item string, rank array<double>"


def graph(seed: int, nodes: int = 60, links: int = 70) -> list[tuple[str, str, float]]:
    generator = np.random.default_rng(seed)
    pairs = {tuple(sorted(generator.choice(nodes, 2, replace=False).tolist())) for _ in range(links)}
    return [(f"{a:03}", f"{b:03}", float(generator.uniform(0.9, 1))) for a, b in sorted(pairs)]


CHAIN = [(f"{n:03}", f"{n + 1:03}", 0.97) for n in range(40)]


def plain(edges: list, mode: str) -> dict[str, set[str]]:
    """What goes, and who may stand for it."""
    better: dict[str, list[str]] = {}
    for a, b, _ in edges:
        better.setdefault(b, []).append(a)
    names = sorted({n for a, b, _ in edges for n in (a, b)})
    if mode == "components":
        root = {n: n for n in names}
        for _ in names:
            for a, b, _s in edges:
                root[a] = root[b] = min(root[a], root[b])
        return {n: {root[n]} for n in names if root[n] != n}
    kept: list[str] = []
    gone: dict[str, set[str]] = {}
    for name in names:
        near = set(better.get(name, ()))
        near &= set(kept) if mode == "representative" else near
        if near:
            gone[name] = near
        else:
            kept.append(name)
    return gone


def run(spark, edges, mode, partitions=3):
    names = {n for a, b, _ in edges for n in (a, b)}
    ranks = spark.createDataFrame([(n, [0.0]) for n in names], RANKS)
    frame = spark.createDataFrame(edges, EDGE_DDL).repartition(partitions)
    return {r.item: (r.representative, r.similarity) for r in decided(frame, ranks, mode).collect()}


@pytest.mark.parametrize("mode", ["representative", "transitive", "components"])
@pytest.mark.parametrize("edges", [graph(1), CHAIN], ids=["random", "chain"])
def test_against_plain_loops(spark, edges, mode):
    found, wanted = run(spark, edges, mode), plain(edges, mode)
    assert found.keys() == wanted.keys() and len(found) > 15
    for item, (representative, similarity) in found.items():
        assert representative not in found  # it stays
        near = {a: s for a, b, s in edges if b == item}
        if mode == "components":
            assert {representative} == wanted[item]
        elif mode == "representative":
            assert representative in wanted[item] and similarity == near[representative]
        else:
            assert similarity == max(near.values())


def test_partitions_change_nothing(spark):
    for mode in ("representative", "transitive", "components"):
        assert run(spark, graph(3), mode, 1) == run(spark, graph(3)[::-1], mode, 7)


def test_equal_keys_share_a_representative_and_no_edge(spark):
    rows = [("a", "k", [0.0]), ("b", "k", [0.0]), ("c", "k", [-1.0]), ("d", "l", [0.0])]
    items = spark.createDataFrame(rows, "item string, key string, rank array<double>")
    distinct = collapsed(items, "key")
    assert {(r.key, r.item) for r in distinct.collect()} == {("k", "c"), ("l", "d")}
    near = spark.createDataFrame([("c", "d", 0.9)], "item string, representative string, similarity double")
    found = {tuple(r) for r in with_equals(equal(items, distinct, "key"), near).collect()}
    assert found == {("c", "d", 0.9), ("a", "d", 0.9), ("b", "d", 0.9)}


def test_an_earlier_item_never_goes(spark):
    """Two earlier ones, joined by a new one, both stay."""
    edges = [(EARLIER + "a", "new", 0.97), (EARLIER + "b", "new", 0.98)]
    for mode in ("representative", "transitive", "components"):
        frame = spark.createDataFrame(edges, EDGE_DDL)
        ranks = [(EARLIER + "a", [0.0]), (EARLIER + "b", [0.0]), ("new", [1.0])]
        found = decided(frame, spark.createDataFrame(ranks, RANKS), mode).collect()
        assert [r.item for r in found] == ["new"] and found[0].representative.startswith(EARLIER)
