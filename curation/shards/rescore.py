"""Model signals of some samples computed again from the release's own tars, beside what its manifest says of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.compute import evaluate
from curation.errors import RecipeError
from curation.graph import Graph, Node, closure
from curation.images import ImageBatch
from curation.methods.uniforms import keyed_uniforms
from curation.models.named import digest
from curation.schema import SAMPLES, VECTOR
from curation.shards.manifest import Release
from curation.shards.mark import MARK
from curation.signal import IMAGE_INPUTS, PIXELS
from curation.vectors import exact_cosine

# Of a score, and of 1 less the cosine of two vectors: other processors, libraries and batch sizes move them by less
# than a tenth of it, another model or picture by more.
TOLERANCE = 1e-3
CHANGING = ("max_side_px", "short_side_px", "encode", "blur_faces")  # settings of write_shards
BATCH = 64  # samples computed together


class Rescored(NamedTuple):
    """What came of it: faults, a sentence each; the manifest's columns computed again, and those that could not be."""

    faults: list[str]
    columns: list[str]
    left_out: list[str]


def rescore(release: Release, count: int, seed: int = 0) -> Rescored:
    """Compute the model signals of COUNT samples, drawn by keyed hash of their uids, and compare with the manifest's.

    A signal of models is a column of the manifest that reads one, itself or through others. Left out: those that read
    what a release does not hold, pictures that `write_shards` changed among it. A model or version other than recorded
    is a fault, and nothing is computed. Raises MissingModelError where a model is not there, RecipeError where its
    precision needs another device.
    """
    nodes, faults = _nodes(release)
    changed = _pictures_changed(release)
    able = {
        name: node
        for name, node in nodes.items()
        if set(node.columns) <= set(SAMPLES.names) and not (changed and node.raw & set(IMAGE_INPUTS))
    }
    left_out = sorted(set(nodes) - set(able))
    if faults or not able:
        return Rescored(faults, [], left_out)
    rows = _drawn(release, count, seed, able)
    for start in range(0, len(rows), BATCH):
        faults += _differences(release, rows.slice(start, BATCH), able)
    return Rescored(faults, list(able), left_out)


def _pictures_changed(release: Release) -> bool:
    """Whether write_shards was to change pictures: then the signals' pictures are not those in the shards."""
    steps = [step["settings"] for step in release.mark.get("stages", []) if step["run"] == "write_shards"]
    return any(settings.get(name) for settings in steps for name in CHANGING)


def _nodes(release: Release) -> tuple[dict[str, Node], list[str]]:
    """The signals of models among the manifest's columns, and how the package at hand differs from the recorded one."""
    settings = release.mark.get("signal_settings")
    if settings is None:
        raise RecipeError(f"{release.out}: {MARK} records no signal_settings, so it is too old to be rescored")
    graph = Graph(settings)
    kept = release.shard_samples(0).schema.names if release.tars else []
    nodes, faults = {}, []
    for name in kept:
        if name in SAMPLES.names or name not in release.mark["signals"]:
            continue
        node = graph.node(name)
        if any(each.spec.models for each in closure([node])):
            nodes[name] = node
            faults += _other_key(release, name, node)
    return nodes, faults


def _other_key(release: Release, name: str, node: Node) -> Iterator[str]:
    recorded = release.mark["signals"]
    if recorded[name]["key"] == node.key:
        return
    found = {digest(kind, dict(each.settings)[s]) for each in closure([node]) for s, kind in each.spec.models.items()}
    models = [m for each in recorded.values() for m in each.get("models", {}).values() if m["digest"] not in found]
    named = "".join(f"; {m['name']} had the digest {m['digest'][:12]}" for m in models)
    yield f"{MARK}: wanted signal {name} of key {recorded[name]['key']}, found {node.key} with what is here{named}"


def _drawn(release: Release, count: int, seed: int, nodes: dict[str, Node]) -> pa.Table:
    """Rows of the samples with the smallest uniforms, in shard order."""
    uids = release.samples(["uid"])["uid"].combine_chunks()
    order = np.lexsort((uids.to_numpy(zero_copy_only=False), keyed_uniforms(seed, "rescore", uids)))[:count]
    read = {c for node in nodes.values() for c in node.columns}
    columns = dict.fromkeys(["uid", "shard", "offset", "bytes", *sorted(read), *nodes])
    return release.samples(list(columns), uids.take(pa.array(order)).to_pylist())


def _differences(release: Release, rows: pa.Table, nodes: dict[str, Node]) -> Iterator[str]:
    batch = ImageBatch([_image(release, row) for row in rows.select(["shard", "offset", "bytes"]).to_pylist()])
    needs = {name for node in nodes.values() for name in node.raw}
    given = {name: rows[name].combine_chunks() for name in needs if name in rows.column_names}
    given |= {"encoded": pa.array(batch.encoded, pa.binary())} | {n: batch.decoded(n) for n in PIXELS if n in needs}
    values = evaluate(list(nodes.values()), given, len(rows))
    for name, node in nodes.items():
        pairs = zip(rows["uid"].to_pylist(), rows[name].to_pylist(), values[node.column].to_pylist(), batch.errors)
        for uid, recorded, found, error in pairs:
            if not _close(recorded, found, node.spec.type):
                why = f" ({error})" if error else ""
                yield f"{uid}: wanted {name} {_shown(recorded)}, found {_shown(found)}{why}; tolerance {TOLERANCE}"


def _image(release: Release, row: dict[str, Any]) -> bytes:
    at, size = row["offset"]["image"], row["bytes"]["image"]
    return bytes(release.open_tar(row["shard"])[at : at + size])


def _close(recorded: Any, found: Any, kind: pa.DataType) -> bool:
    if recorded is None or found is None:
        return recorded is found
    if kind == VECTOR:
        left, right = (np.frombuffer(each, "<f2")[None].astype(np.float64) for each in (recorded, found))
        return left.shape == right.shape and bool(exact_cosine(left, right)[0] >= 1 - TOLERANCE)
    if isinstance(found, list):
        return len(found) == len(recorded) and all(_close(a, b, kind.value_type) for a, b in zip(recorded, found))
    if isinstance(found, float):
        return abs(recorded - found) <= TOLERANCE
    return recorded == found


def _shown(value: Any) -> str:
    text = f"{value:.6f}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
