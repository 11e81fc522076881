"""Between the peer's two runs: counts of the entries in the whole of its first result, and their probabilities.

python counting.py RESULT.parquet T ENTRIES.parquet OUT.npy
"""

import sys

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(result: str, t: str, entries: str, out: str) -> None:
    """min(t / count, 1) of each entry (arXiv:2309.16671, section 3.3)."""
    ids = pc.list_flatten(pq.read_table(result, columns=["entries"])["entries"])
    counts = np.bincount(np.asarray(ids), minlength=pq.read_metadata(entries).num_rows)
    np.save(out, np.minimum(float(t) / np.maximum(counts, 1), 1.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
