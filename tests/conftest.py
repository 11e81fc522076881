"""Fixtures shared by all tests: one lazy Spark session, the shared data, drawn pictures, a small pool."""

import contextlib
import os
import resource
from pathlib import Path

import pytest
from hypothesis import settings

from curation.errors import OutputError
from tests.s3_server import point_here

point_here()  # before any JVM starts: workers have the environment of that moment
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The folder of shared real data and oracles; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED


@pytest.fixture
def no_room():
    """A block in which no file may become larger than 64 KiB, and which must end by saying so."""

    @contextlib.contextmanager
    def block():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
        try:
            with pytest.raises(OutputError, match=r"File too large: make room, or set \w+ to another folder"):
                yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return block


@pytest.fixture(scope="session")
def spark():
    """One session for the whole run: starting one costs several seconds."""
    # C1 only: tests run many small queries, where compiling them harder costs more than it gives.
    os.environ.setdefault("CURATION_SPARK", "spark.sql.shuffle.partitions=4")
    from curation.session import spark_session

    session = spark_session()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 24 drawn pictures with captions in pictures.tsv (path, caption): shapes on plain grounds.

    Number 3 is a copy of number 2 in other bytes, number 5 is cut short, number 7 has three captions.
    """
    from tests.drawing import draw_pool

    return draw_pool(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def pool(spark, pictures, tmp_path_factory):
    """A pool of the drawn pictures, not to be written to: copy it first."""
    from curation.ingest import ingest

    folder = str(tmp_path_factory.mktemp("pool") / "pool")
    ingest([str(pictures / "pictures.tsv")], out=folder)
    return folder


@pytest.fixture
def bucket():
    """The URI of an empty bucket of a real S3 server on loopback; gone after the test."""
    pytest.importorskip("s3fs")
    from tests.s3_server import emptied_bucket

    return emptied_bucket()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The name of a small CLIP with seeded weights: real code, meaningless scores."""
    from tests.small_clip import write_model

    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def release(spark, pool, model, tmp_path_factory):
    """The recipe `full` run once on the pool of drawings, not to be written to; bounds eased for 26 pairs."""
    from curation.run import run

    out = str(tmp_path_factory.mktemp("release") / "out")
    run("full", pool, out, set=[f"signals.clip={model}", *EASED])
    return out


# The small model's scores mean nothing: near-duplicates are only equal pictures, scores drop one pair in ten.
EASED = [
    "dedup_embeddings.threshold=0.9999",
    "scores.keep.clip_score.top_fraction=0.9",
    "write_shards.samples_per_shard=8",
]
