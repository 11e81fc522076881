"""Captions per second of `curation.methods.clean_captions` beside the same cleaning that always calls ftfy.

    python benchmarks/clean.py [--rounds N]

On web alt texts, the headline, and on all captions at hand (Conceptual Captions, Multi30k in four languages, long
descriptions). Ours takes and gives Arrow arrays; the peer takes strings, calls ftfy on each, deletes control characters
and collapses blanks until nothing changes, which is the rule of `clean_captions` without any shortcut; `from_lists` is
ours with strings, too. First the texts that come out are compared. `asked` is the share of captions for which ours
calls ftfy. Both run in this process, in turn, on one thread; a rate is the median over the rounds of captions per
second of thread CPU time. The last line on stdout is one JSON object.
"""

import argparse
import json
import statistics
import unicodedata
from unittest import mock

import ftfy
import pyarrow as pa
from corpora.labelled import real_captions
from paired import in_turn, machine, say, thread_seconds

from curation.methods import clean, clean_captions

TARGET = 5.3  # measured for a gate of printable ASCII without &
BLANK_CONTROLS = dict.fromkeys(map(ord, "\x0b\x0c\x1c\x1d\x1e\x1f"), " ")
SHOWN = 5  # differences that are printed


def always(text: str) -> str:
    """One caption cleaned with ftfy in every round."""
    config = ftfy.TextFixerConfig(unescape_html=True, explain=False)
    for _ in range(clean.ROUNDS):
        fixed = ftfy.fix_text(text.translate(BLANK_CONTROLS), config)
        kept = "".join(c for c in fixed if c.isspace() or unicodedata.category(c) != "Cc")
        cleaned = " ".join(kept.split())
        if cleaned == text:
            break
        text = cleaned
    return text


def only_ftfy(texts: list[str]) -> list[str]:
    """ftfy once on each and nothing else: less than the peer's work."""
    config = ftfy.TextFixerConfig(unescape_html=True, explain=False)
    return [ftfy.fix_text(text, config) for text in texts]


def asked(texts: list[str]) -> float:
    """For what share of the captions ours calls ftfy."""
    with mock.patch("ftfy.fix_text", wraps=ftfy.fix_text) as fix_text:

        def calls(text: str) -> bool:
            fix_text.reset_mock()
            clean_captions(pa.array([text]))
            return fix_text.called

        return sum(map(calls, texts)) / len(texts)


def compared(texts: list[str], rounds: int) -> dict:
    """Rates and ratios on one list of captions, and what comes out different."""
    array = pa.array(texts, pa.string())
    found, wanted = clean_captions(array).to_pylist(), [always(text) for text in texts]
    unequal = [{"text": t, "ours": a, "always": b} for t, a, b in zip(texts, found, wanted, strict=True) if a != b]
    sides = {
        "ours": lambda: clean_captions(array),
        "peer": lambda: [always(text) for text in texts],
        "only_ftfy": lambda: only_ftfy(texts),
        "from_lists": lambda: clean_captions(pa.array(texts, pa.string())).to_pylist(),
    }
    seconds = in_turn(sides, rounds, thread_seconds)
    rates = {name: round(len(texts) / statistics.median(values)) for name, values in seconds.items()}
    by_round = [peer / ours for ours, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    return {
        "captions": len(texts),
        "ratio": round(rates["ours"] / rates["peer"], 2),
        "ratio_range": [round(min(by_round), 2), round(max(by_round), 2)],
        "over_only_ftfy": round(rates["ours"] / rates["only_ftfy"], 2),
        "per_second": rates,
        "asked": round(asked(texts[:5000]), 4),
        "unequal": unequal,
    }


def benchmark(rounds: int) -> dict:
    """The whole measurement."""
    alts, *others = real_captions()
    everything = [text for texts in others for text in texts[::10]]
    results = {}
    for name, texts in (("alt_texts", alts), ("all", everything)):
        say(f"{name}: comparing {len(texts)} captions, then {rounds} rounds")
        results[name] = compared(texts, rounds)
    unequal = [difference for each in results.values() for difference in each.pop("unequal")]
    return {
        "name": "clean",
        "ratio": results["alt_texts"]["ratio"],
        "ours": results["alt_texts"]["per_second"]["ours"],
        "peer": results["alt_texts"]["per_second"]["peer"],
        "unit": "captions per second of thread CPU time",
        "input": f"{len(alts)} web alt texts; {len(everything)} captions of other corpora, every tenth",
        "equal": unequal[:SHOWN] or True,
        "target": TARGET,
        "rounds": rounds,
        **results,
        "machine": machine("ftfy", "pyarrow"),
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print(json.dumps(benchmark(args.rounds), ensure_ascii=False))


if __name__ == "__main__":
    main()
