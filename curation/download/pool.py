"""The command: a pool of URLs -> a pool of images."""

from typing import Any

from curation import opt_outs, tables
from curation.download import pairs as joined
from curation.download import table
from curation.download.settings import EncodeFormat, ResizeMode, Settings, checked
from curation.errors import RecipeError, StaleOutputError
from curation.exclude import without
from curation.files import absolute, join, sweep, swept
from curation.ingest import content
from curation.pool import Pool
from curation.records import read_record, write_record
from curation.schema import OPT_OUTS, PAIRS, hex_id
from curation.shards.manifest import Release

CLAIM = "download.json"  # in the new pool: the form of its images, written before the first one


def download(
    pool: str,
    *,
    out: str,
    subset: str | None = None,
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
    allow_host: list[str] | None = None,
    retry: list[str] | None = None,
) -> dict[str, Any]:
    """Fetch the images of the URL pairs of POOL into the pool OUT; with SUBSET only of what that release kept.

    The bytes are kept as they come unless a form is asked for: --max-side alone makes smaller what is larger; RESIZE is
    one of img2dataset's modes (in keep_ratio and center_crop MAX_SIDE, 256, is the shorter side); FORMAT encodes. OUT
    has every pair, with an image pointer where there is an image; its table `downloads` says for each image what
    happened. The same command again fetches only what failed and may be another way by now, and the statuses named by
    --retry; what is there is never touched.

    Only public hosts are asked, on ports 80 and 443, and those named by --allow-host HOST or HOST:PORT. MAX_BYTES,
    TIMEOUT seconds and MIN_RATE bytes a second bound one image; PER_HOST requests at a time and DELAY seconds between
    two of them one host, CONNECTIONS one task. robots.txt and opt-outs are obeyed, for all agents and for
    USER_AGENT_TOKEN; CONTACT, an address or a URL, is told to every server.
    """
    settings = checked(dict(locals()), "curate download")
    table.check(settings.allow_host, "curate download")
    source = Pool.open(pool)
    home = absolute(out)
    if home == source.uri:
        raise RecipeError(f"--out {out}: is the pool itself; name another folder")
    if not contact:
        table.say("no --contact given: servers are not told whom to ask")
    with table.lock(home):
        return _download(source, home, None if subset is None else absolute(subset), settings)


def _download(source: Pool, home: str, subset: str | None, settings: Settings) -> dict[str, Any]:
    from curation.session import spark_session

    _claim(home, settings)
    made_of = {"pool_key": source.key, "subset": _subset_key(subset)}
    done = tables.read_done(join(home, table.TABLE))
    parts = Pool.open_or_new(home).parts
    current = bool(done and parts) and parts[0]["made_of"] == made_of | {"downloads": done["key"]}
    if current and not table.retryable(done, settings) and not table.left_over(home):
        return _summary(home, parts[0], done | {"fetched": 0}, settings)
    spark = spark_session(source.rows)
    pairs = without(_selected(spark, source, subset), Pool.open_or_new(home).rules())
    done = table.fetch(spark, joined.images(opt_outs.attach(pairs, source)), home, settings)
    table.told(done)
    part = _commit_pairs(spark, pairs, home, source, made_of | {"downloads": done["key"]})
    return _summary(home, part, done, settings)


def _claim(home: str, settings: Settings) -> None:
    """StaleOutputError unless `home` is new or holds images fetched in this form."""
    sweep(home)
    known = read_record(join(home, CLAIM))
    if any("made_of" not in part for part in Pool.open_or_new(home).parts):
        raise StaleOutputError(f"{home} is a pool that holds pairs not made by a download: name another --out")
    if known is not None and known["form"] != settings.form:
        raise StaleOutputError(f"{home} holds images of the form {known['form']}, wanted {settings.form}: name another")
    if known is None:
        write_record(join(home, CLAIM), {"form": settings.form})


def _subset_key(subset: str | None) -> str | None:
    if subset is None:
        return None
    return hex_id("subset", *(part["sha256"] for part in Release.open(subset).mark["subset"]))


def _selected(spark: Any, source: Pool, subset: str | None) -> Any:
    """The pairs of the pool, of those the ones that the release `subset` kept."""
    pairs = source.pairs(spark)
    if subset is None:
        return pairs
    release = Release.open(subset)
    kept = tables.read_spark(spark, subset, release.mark["subset"]).where("keep").select("uid")
    chosen = pairs.join(kept, "uid", "left_semi")
    wanted, found = release.mark["counts"]["kept"], chosen.count()
    if wanted != found:
        raise RecipeError(
            f"--subset {subset} keeps {wanted:,} pairs, {source.uri} has {found:,} of them: another pool's"
        )
    return chosen


def _commit_pairs(spark: Any, pairs: Any, home: str, source: Pool, made_of: dict[str, Any]) -> dict[str, Any]:
    """Write the pairs with their pointers as the one part of the new pool, in place of the part there was.

    That stays until the next download: a run may be reading it.
    """
    key = hex_id("download", *(str(made_of[name]) for name in sorted(made_of)))[:16]
    folder = join(home, "pairs", key)
    found = joined.with_images(pairs, table.read(spark, home)).select(*PAIRS.names)
    with swept(folder):
        parts = tables.write_spark(found, folder, PAIRS.arrow, source.rows)
    tables.write_done(folder, {"table": "pairs", "parts": parts})
    written = tables.read_spark(spark, folder, parts)
    part = {
        "key": key,
        "kinds": sorted({kind for each in source.parts for kind in each["kinds"]}),
        "files": sum(each["files"] for each in source.parts),
        "rows": sum(each["rows"] for each in parts),
        "merged": 0,
        "already_in_pool": 0,
        "rejected": 0,
        "images": [],  # listed in downloads/_done.json
        "with_image": written.where("image IS NOT NULL").count(),
        "content": content(written),
        "made_of": made_of,
    }
    expected = sum(each.get("opt_outs", 0) for each in source.parts)
    with swept(join(home, OPT_OUTS.name, key)):
        part = opt_outs.write(part, opt_outs.of_pool(spark, source), home, expected)
    before = Pool.open_or_new(home)
    Pool(home, (), before.forgotten).with_part(part)
    for name in ("pairs", OPT_OUTS.name):
        tables.leave_only(join(home, name), {key, *(old["key"] for old in before.parts)})
    return part


def _summary(home: str, part: dict[str, Any], done: dict[str, Any], settings: Settings) -> dict[str, Any]:
    counts = {"pairs": part["rows"], "pairs_with_image": part["with_image"], "images": done["rows"]}
    return {
        "pool": home,
        **counts,
        "fetched": done["fetched"],
        "statuses": done["statuses"],
        "worth_retrying": table.retryable(done, settings),
    }
