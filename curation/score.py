"""Signals of a whole pool, computed ahead of any recipe."""

from typing import Any

import pyarrow as pa

from curation.bounds import FINITE
from curation.errors import RecipeError
from curation.files import absolute
from curation.graph import Graph
from curation.pool import Pool
from curation.recipe_text import set_value
from curation.rows import Rows
from curation.store import Store


def score(
    pool: str,
    signals: list[str],
    *,
    clip: str = "sample-clip",
    set: list[str] | None = None,
    caption: str | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Compute SIGNALS for every pair of POOL, tell the mean of each number, and keep them in the store for recipes.

    CLIP is the model behind embeddings and scores; --set NAME=VALUE changes another setting of signals, such as
    windows=content (repeat it for more). CAPTION, the folder of a clean_captions table, gives the captions to score
    (recipes score cleaned ones); without it those of the pool are taken. What is there already stays. CLIPScore and
    RefCLIPScore (arXiv:2104.08718) of a pool whose pairs have further captions as references: clip_s refclip_s.
    """
    from curation.session import spark_session
    from curation.single import open_table

    rows = open_table(caption) if caption else Rows(Pool.open(pool), store or Pool.open(pool).store, Graph())
    graph = Graph({"clip": clip} | _settings(set or []))
    rows = Rows(rows.pool, absolute(store) if store else rows.store, graph, rows.chain)
    nodes = {name: graph.node(name) for name in signals}
    spark = spark_session()
    frame = rows.select(spark, ["uid", *signals])
    counted = [f"count(`{name}`) as `{name}`" for name in signals]
    numbers = [name for name in signals if _is_number(nodes[name].spec.type)]
    means = [f"avg(`{n}`) filter (where {FINITE.replace('score', f'`{n}`')}) as `mean {n}`" for n in numbers]
    found = frame.selectExpr(*counted, *means).first()
    folders = {name: Store(spark, rows.store).folder(node) for name, node in nodes.items() if node.stored}
    return {
        "pool": rows.pool.uri,
        "pairs": rows.count,
        "with_value": {name: found[name] for name in signals},
        "mean": {name: found[f"mean {name}"] for name in numbers},
        "stored": folders,
    }


def _settings(changes: list[str]) -> dict[str, Any]:
    pairs = [change.partition("=") for change in changes]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise RecipeError(f"--set {name}{equals}{value}: wanted NAME=VALUE, e.g. windows=content")
    return {name: set_value(value) for name, _, value in pairs}


def _is_number(type: pa.DataType) -> bool:
    return pa.types.is_integer(type) or pa.types.is_floating(type)
