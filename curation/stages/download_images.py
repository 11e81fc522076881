"""Images of pairs that have only a URL, fetched in the middle of a recipe: after the text filters, before any model."""

from typing import Annotated, Any

from pydantic import AfterValidator

from curation.download.settings import EncodeFormat, ResizeMode, checked
from curation.files import join
from curation.schema import IMAGE, OPT_OUT, VERDICT, Column
from curation.stage import stage, verdict

POINTER = Column("image", IMAGE, "pointer to the encoded bytes; null if dropped", True)


def _readable(allow_host: list[str]) -> list[str]:
    from curation.download import table

    table.check(allow_host, "stage download_images")  # also a missing library is told before any work
    return allow_host


Hosts = Annotated[list[str], AfterValidator(_readable)]


@stage(output=(*VERDICT.columns, POINTER), version=3, pairs=["uid", "image_id", "url", "image", OPT_OUT])
def download_images(
    pairs: Any,
    *,
    resize: ResizeMode = "no",
    max_side: int | None = None,
    resize_only_if_bigger: bool = False,
    format: EncodeFormat = "original",
    encode_quality: int = 95,
    max_bytes: int = 20 << 20,
    timeout: float = 20.0,
    min_rate: int = 1024,
    retries: int = 2,
    per_host: int = 4,
    delay: float = 0.0,
    connections: int = 256,
    user_agent_token: str = "curation",
    contact: str = "",
    allow_host: Hosts = (),
    retry: list[str] = (),
    again: int = 0,
    store: str = "",
) -> Any:
    """`image` of every pair: its own where it has one, else what its URL gives; drops pairs without, by status.

    The settings are those of `curate download`. What was fetched is kept in the store, with a table `downloads`:
    another recipe, or this one on a grown pool, asks only for what lacks. Raise AGAIN to ask once more for what failed
    and may be another way by now. drop_value says more; `no_url` is a pair that has neither image nor URL.
    """
    chosen = checked(dict(locals()), "stage download_images")
    from curation.download import pairs as joined
    from curation.download import table

    home = join(store, "downloads", chosen.form_key)
    with table.lock(home):
        done = table.fetch(pairs.sparkSession, joined.images(pairs), home, chosen)
    table.told(done)
    found = joined.with_images(pairs, table.read(pairs.sparkSession, home))
    return verdict(found, joined.reason(found), found["_detail"])
