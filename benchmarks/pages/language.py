"""The tables of docs/language.md, from what benchmarks/language.py measured."""

from pathlib import Path
from typing import Any

START, END = "<!-- figures: python benchmarks/language.py --docs docs/language.md -->", "<!-- end of figures -->"
SHOWN = 24  # languages of the stamps in the table


def write_page(path: Path, result: dict[str, Any]) -> None:
    """Put the tables between the marks of the page; ValueError where it has none."""
    before, start, rest = path.read_text("utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"{path}: wanted the lines {START} and {END}")
    path.write_text(f"{before}{START}\n{tables(result)}\n{END}{after}", "utf-8")


def tables(result: dict[str, Any]) -> str:
    """All tables, in Markdown."""
    parts = (speed(result), right(result), stamp_languages(result), lengths(result), agreement(result))
    return "\n".join(("", *parts, f"Measured on {result['machine']}; {result['rounds']} rounds."))


def percent(share: float) -> str:
    """A share in percent.

    >>> percent(0.9876), percent(1)
    ('98.8', '100.0')
    """
    return f"{100 * share:.1f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, the first column to the left and the others to the right.

    >>> print(table(["a", "b"], [["x", "1"]]), end="")
    | a | b |
    |---|--:|
    | x | 1 |
    """
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    rule = f"|{'|'.join(lines[1])}|"
    return "\n".join(rule if line is lines[1] else f"| {' | '.join(line)} |" for line in lines) + "\n"


def speed(result: dict[str, Any]) -> str:
    """Captions per second of one core."""
    rates = result["per_second"]
    rows = [[f"`{b}`", f"{rates['multi30k'][b]:,}", f"{rates['alts'][b]:,}"] for b in result["backends"]]
    return "Captions per second of one core:\n\n" + table(["backend", "Multi30k", "web alt texts"], rows)


def right(result: dict[str, Any]) -> str:
    """Share of right answers on Multi30k and on the stamps."""
    codes = [code for code in result["right"]["multi30k"] if code not in ("all", "mean")]
    named = {"multi30k": [*codes], "stamps": ["all", "mean"]}
    head = ["backend", *codes, "stamps: captions", "stamps: mean of languages"]
    rows = []
    for backend in result["backends"]:
        shares = [
            percent(result["right"][c][n][backend]) for c, names in named.items() for n in names if result["right"][c]
        ]
        rows.append([f"`{backend}`", *shares])
    counts = result["captions"]
    languages = len(result["right"]["stamps"]) - 2
    told = f"({counts['multi30k']:,} captions of Multi30k; {counts['stamps']:,} stamps in {languages} languages)"
    return f"Right answers in percent {told}:\n\n" + table(head[: len(rows[0])], rows)


def stamp_languages(result: dict[str, Any]) -> str:
    """Share of right answers by language of the stamps: those with the most captions."""
    shares = result["right"]["stamps"]
    codes = [code for code in shares if code not in ("all", "mean")]
    if not codes:
        return ""
    rows = [[code, *(percent(shares[code][b]) for b in result["backends"])] for code in sorted(codes[:SHOWN])]
    head = ["language", *(f"`{b}`" for b in result["backends"])]
    return f"Right answers in percent on the stamps, the {len(rows)} languages with most captions:\n\n" + table(
        head, rows
    )


def lengths(result: dict[str, Any]) -> str:
    """Right answers by the number of words."""
    backends = result["backends"]
    head = ["words", "letters"]
    for backend in backends:
        head += [f"`{backend}` right", "none", "score ≥ 0.5", "right of these"]
    rows = []
    for row in result["by_length"]:
        shares = [percent(row[b][name]) for b in backends for name in ("right", "none", "sure", "right_of_sure")]
        rows.append([str(row["words"]), f"{row['letters']:g}", *shares])
    told = (
        "The first words of Multi30k's captions, in percent: right, without an answer, with a score of at least 0.5, "
    )
    return told + "and right among those:\n\n" + table(head, rows)


def agreement(result: dict[str, Any]) -> str:
    """Share of captions on which two backends agree."""
    backends, shares = result["backends"], result["agreement"]
    rows = [[f"`{a}`", *(percent(shares[a][b]) for b in backends)] for a in backends]
    told = "Agreement in percent, on Multi30k and the stamps together (no answer counts as one):\n\n"
    return told + table(["", *(f"`{b}`" for b in backends)], rows)
