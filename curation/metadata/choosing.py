"""Which n-grams and titles become entries: the rule of MetaCLIP for English, that of MetaCLIP 2 for other languages."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

from curation.errors import RecipeError, unknown
from curation.metadata.tokenizers import tokenizer
from curation.methods.ngrams import BIGRAMS, TITLE_SHARE, TITLES, UNIGRAM_SHARE, UNIGRAMS, worldwide_caps
from curation.stage import cached

Rule = Literal["language", "metaclip1", "worldwide"]
LEVELS = 64  # of lift, to a bit of PMI: how finely it is counted before the highest are ranked
SLACK = 1 + 1e-9  # above what rounding can do where a bound only spares work


class Thresholds(NamedTuple):
    """The settings of `curate metadata` that decide; the defaults are the published ones."""

    rule: Rule = "language"
    unigram_count: int = 100  # MetaCLIP, table of metadata sources
    unigram_share: float = UNIGRAM_SHARE
    max_unigrams: int = UNIGRAMS
    pmi: float = 30.0  # both papers
    bigram_count: int = 1  # neither paper has a bound
    max_bigrams: int = BIGRAMS
    top_bigrams: int | None = None
    row_views: int = 50  # MetaCLIP, build of titles
    title_views: int = 70  # the same
    title_share: float = TITLE_SHARE
    max_titles: int = TITLES
    longest: int = 256  # MetaCLIP 2, metadata

    def check(self) -> "Thresholds":
        """Itself; RecipeError where a value makes no sense."""
        if self.rule not in get_args(Rule):
            raise unknown("rule", [self.rule], get_args(Rule), "metadata")
        shares = ("unigram_share", "title_share")
        for name, value in self._asdict().items():
            least = {"bigram_count": 1, "longest": 1, "pmi": -1000}.get(name, 0)
            most = 1 if name in shares else 1000 if name == "pmi" else 1 << 62
            if name != "rule" and value is not None and not least <= value <= most:
                raise RecipeError(f"metadata: {name} is {value}, wanted {least} to {most}")
        return self

    def is_first(self, language: str) -> bool:
        """Whether the rule of the first paper holds for a language."""
        return self.rule == "metaclip1" or (self.rule == "language" and language == "en")

    def caps(self, unigrams: int = 0, bigrams: int = 0, titles: int = 0) -> tuple[int, int, int]:
        """The caps of MetaCLIP 2 for so many."""
        return worldwide_caps(
            unigrams,
            bigrams,
            titles,
            unigram_share=self.unigram_share,
            max_unigrams=self.max_unigrams,
            max_bigrams=self.max_bigrams,
            title_share=self.title_share,
            max_titles=self.max_titles,
        )


def totals(counts: Any) -> dict[str, int]:
    """How many uni-grams each language has in all, N of the PMI."""
    from pyspark.sql import functions as F

    words = counts.where("language is not null and next is null")
    return {row.language: row.n for row in words.groupBy("language").agg(F.sum("count").alias("n")).collect()}


def unigrams(counts: Any, rules: Thresholds) -> Any:
    """The uni-grams that become entries: those seen often enough (MetaCLIP), or the most frequent ones (MetaCLIP 2)."""
    from pyspark.sql import functions as F

    words = counts.where("language is not null and next is null")
    entries = words.selectExpr("language", "word entry", "count", "cast(null as double) lift", "count level")
    entries = entries.where(~_first(rules) | (F.col("count") >= rules.unigram_count))
    return _highest(entries, lambda language, n: n if rules.is_first(language) else rules.caps(unigrams=n)[0])


def bigrams(counts: Any, total: dict[str, int], rules: Thresholds) -> Any:
    """The bi-grams that become entries: PMI >= 30 (MetaCLIP) or > 30, capped (MetaCLIP 2); or the `top_bigrams`.

    Thresholds are applied to the lift, 2 to the power of the PMI.
    """
    from pyspark.sql import functions as F

    least = 0.0 if rules.top_bigrams is not None else 2.0**rules.pmi
    sums = counts.sparkSession.createDataFrame(list(total.items()), "language string, n long")
    words = counts.where("language is not null and next is null").join(F.broadcast(sums), "language")
    # No bi-gram of a word more frequent than this can have the lift: most words drop out before the joins.
    words = words.where(F.col("count") * F.lit(least) <= F.col("n") * F.lit(SLACK))
    first = words.selectExpr("language", "word", "cast(count as double) n_first", "cast(n as double) n")
    second = words.selectExpr("language", "word next", "cast(count as double) n_second")
    pairs = counts.where("language is not null and next is not null").where(F.col("count") >= rules.bigram_count)
    joined = pairs.join(first, ["language", "word"]).join(second, ["language", "next"])
    lift = F.col("count").cast("double") * F.col("n") / (F.col("n_first") * F.col("n_second"))
    apart = F.concat_ws(" ", "word", "next")
    for language in total:
        if tokenizer(language).joiner != " ":
            own = F.concat_ws(tokenizer(language).joiner, "word", "next")
            apart = F.when(F.col("language") == language, own).otherwise(apart)
    entries = joined.select("language", apart.alias("entry"), "count", lift.alias("lift"))
    entries = entries.where(F.length("entry") <= rules.longest)
    entries = entries.where(F.when(_first(rules), F.col("lift") >= least).otherwise(F.col("lift") > least))
    entries = entries.withColumn("level", F.floor(F.log2("lift") * LEVELS))

    def cap(language: str, n: int) -> int:
        if rules.top_bigrams is not None:
            return rules.top_bigrams
        return n if rules.is_first(language) else rules.caps(bigrams=n)[1]

    return _highest(entries, cap)


def titles(views: Any, rules: Thresholds) -> Any:
    """The titles that become entries: those viewed often enough (MetaCLIP), or the most viewed ones (MetaCLIP 2)."""
    from pyspark.sql import functions as F

    found = views.where("language is not null and next is null")
    entries = found.selectExpr("language", "word entry", "count", "cast(null as double) lift", "count level")
    entries = entries.where(~_first(rules) | (F.col("count") >= rules.title_views))
    return _highest(entries, lambda language, n: n if rules.is_first(language) else rules.caps(titles=n)[2])


def _first(rules: Thresholds) -> Any:
    """A column: whether the rule of the first paper holds for the row."""
    from pyspark.sql import functions as F

    return F.lit(rules.rule == "metaclip1") | ((F.col("language") == "en") & F.lit(rules.rule == "language"))


def _highest(entries: Any, cap: Callable[[str, int], int]) -> Any:
    """Of each language with n rows the first `cap(language, n)` by lift or level, then entry; no tie is left to chance.

    Levels are counted first, so that only rows that may be among these are put in order.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    entries = cached(entries)
    levels: dict[str, dict[int, int]] = {}
    for row in entries.groupBy("language", "level").agg(F.count("*").alias("rows")).collect():
        levels.setdefault(row.language, {})[row.level] = row.rows
    caps = {language: cap(language, sum(rows.values())) for language, rows in levels.items()}
    bounds = [(language, _lowest(levels[language], caps[language]), caps[language]) for language in sorted(levels)]
    frame = entries.sparkSession.createDataFrame(bounds, "language string, lowest long, cap long")
    order = Window.partitionBy("language").orderBy(F.desc("lift"), F.desc("level"), "entry")
    kept = entries.join(F.broadcast(frame), "language").where("level >= lowest and cap > 0")
    ranked = kept.withColumn("rank", F.row_number().over(order)).where("rank <= cap")
    return ranked.select("language", "entry", "count", "lift")


def _lowest(levels: dict[int, int], cap: int) -> int:
    """The highest level such that `cap` rows are at it or above, or the lowest there is.

    >>> _lowest({5: 1, 3: 2, 1: 9}, 2), _lowest({5: 1}, 9)
    (3, 5)
    """
    rows = 0
    for level in sorted(levels, reverse=True):
        rows += levels[level]
        if rows >= cap:
            return level
    return min(levels)
