"""The job inside Spark, local[2]: captions from Parquet, matched, to lists of ids and counts of entries as Parquet.

    python -m matching.job ours|peer CAPTIONS.parquet ENTRIES.parquet OUT TIMES

It runs TIMES times in one session, after once with a single entry: Java has compiled the plan and the workers have
imported what they need then, and the first run has the building of what each worker searches with. The one line on
stdout is a JSON list: of each run, that with a single entry first, `cpu` seconds of all processes, `wall` seconds, and
the highest resident `worker_mb` so far.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from scaling.watching import SAMPLE, Watch

from curation.session import spark_session
from curation.stage import releasing
from matching import sides

CORES = "spark.master=local[2]"
SINGLE = "photograph"  # the list of the run that does not count


def done(spark: Any, side: Callable, captions: str, entries: str, out: Path) -> None:
    """The job once."""
    with releasing():
        matched, counts = side(spark.read.parquet(captions).select("uid", "caption"), entries)
        matched.select("uid", "entries").write.mode("overwrite").parquet(str(out / "entries"))
        counts.select("entry_id", "count").write.mode("overwrite").parquet(str(out / "counts"))


def used(watch: Watch, work: Callable[[], None]) -> dict[str, float]:
    """What one call took. The processes that did the work live on, so none is missed."""
    watch.look()
    before, start = dict(zip(SAMPLE, watch.samples[-1])), time.monotonic()
    work()
    wall = time.monotonic() - start
    watch.look()
    after = dict(zip(SAMPLE, watch.samples[-1]))
    cpu = sum(after[kind] - before[kind] for kind in SAMPLE if kind.startswith("cpu_"))
    return {"cpu": round(cpu, 2), "wall": round(wall, 2), "worker_mb": round(watch.peaks["worker"], 1)}


def main(name: str, captions: str, entries: str, folder: str, times: str) -> None:
    """Run, measure, print."""
    os.environ["CURATION_SPARK"] = CORES
    out, side = Path(folder), {"ours": sides.ours, "peer": sides.peer}[name]
    spark = spark_session(pq.read_metadata(captions).num_rows)
    watch = Watch(os.getpid(), Path("/nowhere"))
    single = out / "single.parquet"
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"entry": [SINGLE]}), single)
    lists = [str(single)] + [entries] * int(times)
    runs = [used(watch, partial(done, spark, side, captions, each, out)) for each in lists]
    spark.stop()
    print(json.dumps(runs))


if __name__ == "__main__":
    main(*sys.argv[1:])
