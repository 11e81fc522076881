"""MinHash: near-duplicate captions by the Jaccard similarity of their shingles."""

import numpy as np

SHINGLE = 5  # bytes; assumption: captions are short, and words alone would tell "a dog." from "the dogs" by everything
PRIME_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # splitmix64 (Steele et al., OOPSLA 2014)


def shingles(caption: str) -> np.ndarray:
    """The different runs of 5 bytes of a caption in lower case, with single blanks and one at either end; uint64.

    A number is the bytes themselves, so that different runs are different numbers. Sorted.

    >>> len(shingles("A  dog")), np.array_equal(shingles("A  dog"), shingles("a dog "))
    (3, True)
    """
    text = f" {' '.join(caption.lower().split())} ".encode("utf-8", "surrogatepass").ljust(SHINGLE, b" ")
    codes = np.frombuffer(text, np.uint8).astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, SHINGLE)
    return np.unique(windows @ (np.uint64(256) ** np.arange(SHINGLE, dtype=np.uint64)))


def signatures(captions: list[str], size: int = 128) -> np.ndarray:
    """MinHash signatures, uint32 (n, size): the share of equal places of two estimates the Jaccard similarity.

    Broder, "On the Resemblance and Containment of Documents" (1997). The hash functions are multiply-shift ones
    (Dietzfelbinger et al., 1997) of mixed shingles, the same in every run.

    >>> one, same, other = signatures(["a dog on grass", "A dog  on grass", "stock market falls"])
    >>> float((one == same).mean()), float((one == other).mean()) < 0.1
    (1.0, True)
    """
    sets = [shingles(caption) for caption in captions]
    result = np.empty((len(sets), size), np.uint32)
    if not sets:
        return result
    starts = np.concatenate([[0], np.cumsum([len(each) for each in sets])[:-1]])
    mixed = _mixed(np.concatenate(sets))
    factors, terms = _functions(size)
    for number in range(size):
        hashed = (mixed * factors[number] + terms[number]) >> np.uint64(32)
        result[:, number] = np.minimum.reduceat(hashed, starts)
    return result


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Shared over all shingles of two sorted sets, in [0, 1].

    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5
    """
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def bands(found: np.ndarray, rows: int) -> np.ndarray:
    """One number per band of `rows` places, int64 (n, size // rows): captions that share one may be near.

    With similarity s two share one with probability 1 - (1 - s^rows)^(size / rows).
    """
    grouped = found[:, : found.shape[1] // rows * rows].reshape(len(found), -1, rows).astype(np.uint64)
    total = np.zeros(grouped.shape[:2], np.uint64) + np.arange(grouped.shape[1], dtype=np.uint64)
    for number in range(rows):
        total = _mixed(total ^ grouped[:, :, number])
    return total.view(np.int64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: a permutation of 64-bit numbers whose bits all depend on all."""
    first, second = PRIME_MIX
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * first
    numbers = (numbers ^ (numbers >> np.uint64(27))) * second
    return numbers ^ (numbers >> np.uint64(31))


def _functions(size: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = _mixed(np.arange(2 * size, dtype=np.uint64))
    return numbers[:size] | np.uint64(1), numbers[size:]
