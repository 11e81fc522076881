"""Signals of a whole pool, computed ahead of any recipe."""

from typing import Any

from curation.files import absolute
from curation.graph import Graph
from curation.pool import Pool
from curation.rows import Rows
from curation.store import Store


def score(
    pool: str, signals: list[str], *, clip: str = "sample-clip", caption: str | None = None, store: str | None = None
) -> dict[str, Any]:
    """Compute SIGNALS for every pair of POOL and keep them in the store, where recipes find them.

    CLIP is the model behind embeddings and scores. CAPTION, the folder of a clean_captions table, gives the captions
    to score (recipes score cleaned ones); without it those of the pool are taken. What is there already stays.
    """
    from curation.session import spark_session
    from curation.single import open_table

    rows = open_table(caption) if caption else Rows(Pool.open(pool), store or Pool.open(pool).store, Graph())
    graph = Graph({"clip": clip})
    rows = Rows(rows.pool, absolute(store) if store else rows.store, graph, rows.chain)
    nodes = {name: graph.node(name) for name in signals}
    spark = spark_session()
    frame = rows.select(spark, ["uid", *signals])
    counted = frame.selectExpr(*(f"count(`{name}`) as `{name}`" for name in signals)).first()
    folders = {name: Store(spark, rows.store).folder(node) for name, node in nodes.items() if node.stored}
    return {"pool": rows.pool.uri, "pairs": rows.count, "with_value": counted.asDict(), "stored": folders}
