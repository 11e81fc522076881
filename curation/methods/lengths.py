"""How long captions are in tokens, over all and by language: what a context of 77 tokens cuts off."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.windows import CONTEXT

QUANTILES = {"tokens_p50": 0.5, "tokens_p90": 0.9, "tokens_p99": 0.99, "tokens_max": 1.0}
UNDETERMINED = "und"  # ISO 639-2: the language of a caption is not known
LENGTHS = pa.schema(
    [
        pa.field("language", pa.string()),  # null: all captions
        pa.field("captions", pa.int64(), False),
        pa.field("beyond", pa.int64(), False),
        pa.field("beyond_share", pa.float64(), False),
        *(pa.field(name, pa.int32(), False) for name in QUANTILES),
    ]
)


def token_lengths(tokens: pa.Array, languages: pa.Array, context: int = CONTEXT) -> pa.Table:
    """A row for all captions (language null), then one per language, most captions first, then by code.

    `captions`, how many; `beyond`, how many of more than `context` tokens (77, with start and end, as caption_tokens
    counts them), `beyond_share` their share, 0 to 1; quantiles of the tokens, each the length of a caption: the
    shortest that at least that share of captions does not exceed. Captions with null tokens are left out, those without
    a language are `und`. No rows where there are no captions.

    >>> table = token_lengths(pa.array([7, 9, 90, None]), pa.array(["en", "en", None, "de"]))
    >>> [tuple(row.values()) for row in table.to_pylist()[1:]]
    [('en', 2, 0, 0.0, 7, 9, 9, 9), ('und', 1, 1, 1.0, 90, 90, 90, 90)]
    """
    there = tokens.is_valid()
    counts = tokens.filter(there).to_numpy(zero_copy_only=False)
    codes = pc.fill_null(languages.cast(pa.string()), UNDETERMINED).filter(there)
    rows = [_row(None, counts, context)] if len(counts) else []
    named = pc.value_counts(codes).to_pylist()
    for value in sorted(named, key=lambda v: (-v["counts"], v["values"])):
        own = counts[pc.equal(codes, value["values"]).to_numpy(zero_copy_only=False)]
        rows.append(_row(value["values"], own, context))
    return pa.Table.from_pylist(rows, LENGTHS)


def _row(language: str | None, counts: np.ndarray, context: int) -> dict:
    beyond = int((counts > context).sum())
    values = np.quantile(counts, list(QUANTILES.values()), method="inverted_cdf").astype(int).tolist()
    row = {"language": language, "captions": len(counts), "beyond": beyond, "beyond_share": beyond / len(counts)}
    return row | dict(zip(QUANTILES, values))
