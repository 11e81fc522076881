"""How long the captions are in tokens of CLIP, before and after, over all and by language."""

from typing import Any

import pyarrow as pa

from curation.errors import MissingModelError
from curation.methods.lengths import QUANTILES, token_lengths
from curation.methods.windows import CONTEXT
from curation.report.pairs import Pairs
from curation.report.plots import CAPTION_LENGTHS, Plot
from curation.shown import plain

LANGUAGES = 15  # rows of the table: those with most captions in the pool


def length_tables(sample: Pairs) -> pa.Table | None:
    """The rows of curation.methods.token_lengths for the pool's captions as ingested and for the kept ones.

    A column `of` before them says which: `pool` or `kept`. Languages are what the packaged model of
    `language_prediction` says, whichever the recipe names. None where captions cannot be counted or there are none.
    """
    captions = sample.column("caption", 0)
    if not pa.types.is_string(captions.type):
        return None
    sides = {"pool": captions, "kept": sample.column("caption").filter(sample.kept)}
    try:
        tables = {of: _lengths(texts) for of, texts in sides.items() if pa.types.is_string(texts.type)}
    except MissingModelError:  # the vocabulary comes with open_clip, which a report can do without
        return None
    named = [t.add_column(0, "of", pa.array([of] * len(t), pa.string())) for of, t in tables.items()]
    found = pa.concat_tables(named)
    return found if len(found) else None


def _lengths(captions: pa.Array) -> pa.Table:
    from curation.signals.caption_language import caption_language
    from curation.signals.caption_tokens import caption_tokens
    from curation.signals.language_prediction import language_prediction

    return token_lengths(caption_tokens(captions), caption_language(language_prediction(captions)))


def caption_lengths(sample: Pairs) -> dict[str, Any] | None:
    """What the page says of lengths, a row per language, the pool's figures beside the kept ones', with the `plot`;
    None where `length_tables` has none.
    """
    found = length_tables(sample)
    if found is None:
        return None
    plot = Plot(CAPTION_LENGTHS, found.to_batches(), None, len(sample), sample.release.mark["counts"]["pool"])
    rows = {(row["of"], row["language"]): row for row in found.to_pylist()}
    pool = [row for (of, _), row in rows.items() if of == "pool"]
    shown = [_shown(row, rows.get(("kept", row["language"]))) for row in pool[: LANGUAGES + 1]]
    return {"plot": plot, "rows": shown, "others": max(0, len(pool) - len(shown)), "context": CONTEXT}


def _shown(row: dict[str, Any], kept: dict[str, Any] | None) -> dict[str, Any]:
    from curation.report.charts import share

    name = "all captions" if row["language"] is None else plain(row["language"])
    sides = {"captions": row["captions"], "kept": kept["captions"] if kept else 0}
    shares = {"share": share(row["beyond"], row["captions"])}
    shares["kept_share"] = share(kept["beyond"], kept["captions"]) if kept else "–"
    return {"language": name} | sides | shares | {name: row[name] for name in QUANTILES}
