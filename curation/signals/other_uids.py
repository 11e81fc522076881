"""The keys that other data sets give a pair, to join their tables and lists with a pool."""

from collections.abc import Callable

import pyarrow as pa

from curation.methods import identifiers
from curation.signal import signal


@signal(pa.string(), stored=False)
def datacomp_uid(url: pa.Array, caption: pa.Array) -> pa.Array:
    """Key of the pair in DataComp and cc2dataset, 32 hex; null where there is no URL. Of captions as ingested only.

    A bound on it, before any step changes captions, restricts a pool to a subset of DataComp: { in_file = "s.npy" }.
    See curation.methods.datacomp_uid (arXiv:2304.14108).

    >>> datacomp_uid(pa.array(["http://example.com/a.jpg", None]), pa.array(["a dog", "a dog"])).to_pylist()
    ['f045eb8d68faadddaf654fd4cb252d5c', None]
    """
    return _of_pairs(url, caption, identifiers.datacomp_uid, pa.string())


@signal(pa.int64(), stored=False)
def laion_hash(url: pa.Array, caption: pa.Array) -> pa.Array:
    """Key of the pair in LAION-5B's tables, int64; null where there is no URL. Of captions as ingested only.

    See curation.methods.laion_hash (arXiv:2210.08402).

    >>> laion_hash(pa.array(["http://example.com/a.jpg"]), pa.array(["a dog"])).to_pylist()
    [-3486169130619475791]
    """
    return _of_pairs(url, caption, identifiers.laion_hash, pa.int64())


def _of_pairs(urls: pa.Array, captions: pa.Array, key: Callable, type: pa.DataType) -> pa.Array:
    pairs = zip(urls.to_pylist(), captions.to_pylist(), strict=True)
    return pa.array([None if None in pair else key(*pair) for pair in pairs], type)
