"""However an epoch is dealt, and wherever it is stopped and dealt anew, each sample comes once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.shards.order import Deal, draws, left_of, merged

KINDS = st.tuples(st.integers(1, 5), st.integers(1, 6), st.sampled_from(["runs", "blocks"]))
EVEN = st.sampled_from([None, "drop", "pad"])


def taken(deal: Deal, rank: int) -> list[int]:
    """The places of the whole order that a rank gets, in its order."""
    left = left_of(0, deal.total, deal.done)
    found = []
    for first in range(0, deal.dealt, max(deal.left, 1)):
        places, numbers = deal.mine(first, first + deal.left, rank)
        assert numbers.tolist() == list(range(len(found), len(found) + len(places)))
        found += left[places - first].tolist()
    assert len(found) == deal.size(rank)
    return found


@given(st.integers(0, 60), KINDS, EVEN)
def test_ranks_share_an_epoch(total, kind, even):
    world, block, _ = kind
    deal = Deal(total, *kind, even)
    ranks = [taken(deal, rank) for rank in range(world)]
    everything = sorted(place for rank in ranks for place in rank)
    if even is None:
        assert everything == list(range(total))
        assert max(map(len, ranks)) - min(map(len, ranks)) <= (1 if deal.split == "runs" else block)
        return
    assert {len(rank) for rank in ranks} == {deal.dealt // world} and deal.dealt % (world * block) == 0
    counts = np.bincount(everything, minlength=total)
    if even == "drop":
        assert total - len(everything) < world * block and counts.max(initial=0) <= 1
    elif total:
        assert 0 <= len(everything) - total < world * block and counts.min() >= 1 and np.ptp(counts) <= 1


@given(st.integers(0, 60), KINDS)
def test_blocks_are_the_same_for_any_number_of_ranks(total, kind):
    world, block, _ = kind
    deal = Deal(total, world, block, "blocks")
    ranks = [taken(deal, rank) for rank in range(world)]
    for n in range(0, total, block):
        together = sorted(place for rank in ranks for place in rank[n : n + block])
        assert together == list(range(min(n * world, total), min((n + block) * world, total)))


@given(st.integers(0, 80), st.lists(st.tuples(KINDS, st.integers(0, 20)), min_size=1, max_size=4), KINDS)
def test_stopped_and_dealt_anew_any_number_of_times(total, stops, last):
    """Each run gives its ranks' first samples; what all have given and the last run together is each sample once."""
    done, given_before = (), []
    for kind, count in stops:
        deal = Deal(total, *kind, None, done)
        seen = [place for rank in range(kind[0]) for place in taken(deal, rank)[:count]]
        done = deal.given(count)
        given_before += seen
        assert sorted(given_before) == [place for first, end in done for place in range(first, end)]
    deal = Deal(total, *last, None, done)
    assert sorted(given_before + [p for rank in range(last[0]) for p in taken(deal, rank)]) == list(range(total))


@given(
    st.integers(0, 80),
    st.lists(st.tuples(KINDS, EVEN, st.integers(0, 20)), min_size=1, max_size=4),
    st.tuples(KINDS, EVEN),
)
def test_dealt_evenly_and_anew_any_number_of_times(total, stops, last):
    """None twice but what pad gives again, less than a turn each time; none missed but what the last one drops."""
    done, found, again = (), np.zeros(total, int), 0
    for kind, even, count in [*stops, (*last, total + 30)]:
        deal = Deal(total, *kind, even, done)
        for rank in range(kind[0]):
            found += np.bincount(taken(deal, rank)[:count], minlength=total)
        again += max(deal.dealt - deal.left, 0)
        done = deal.given(count)
        assert all(found[first:end].all() for first, end in done)
        assert found.sum() - sum(end - first for first, end in done) <= again
    dropped = deal.left - deal.dealt if last[1] == "drop" else 0
    assert (found == 0).sum() == dropped < last[0][0] * last[0][1]


@given(st.integers(1, 80), KINDS, EVEN, st.integers(0, 4))
def test_the_same_ranks_go_on_with_the_same_samples(total, kind, even, blocks):
    count = blocks * kind[1]
    before = Deal(total, *kind, even)
    if count > before.size(kind[0] - 1) or before.dealt > before.total:
        return
    after = Deal(total, *kind, even, before.given(count))
    for rank in range(kind[0]):
        assert taken(after, rank) == taken(before, rank)[count:]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)))
def test_merged_spans_hold_the_same_places(spans):
    found = merged([tuple(span) for span in spans if span[0] < span[1]])
    assert sorted({p for first, last in spans for p in range(first, last)}) == [
        p for a, b in found for p in range(a, b)
    ]
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))


@given(
    st.lists(st.floats(0, 100) | st.just(0.0), min_size=1, max_size=30),
    st.integers(1, 3),
    st.integers(0, 200),
    st.floats(0, 0.9999),
)
def test_draws_of_all_parts_add_up(weights, parts, total, uniform):
    weights = np.array(weights)
    if not weights.sum() > 1e-9:
        return
    pieces = np.array_split(weights, parts)
    ends = np.cumsum([piece.sum() for piece in pieces])
    ends = ends / ends[-1]
    counts = [draws(p, low, high, total, uniform) for p, low, high in zip(pieces, [0.0, *ends[:-1]], ends)]
    found = np.concatenate(counts)
    expected = total * weights / weights.sum()
    assert found.sum() == total and (found >= 0).all()
    assert (np.abs(found - expected) <= 1 + 1e-6 * total).all()
    assert not found[weights == 0].any()


def test_draws_are_right_on_average():
    weights = np.array([1.0, 2.5, 0.25, 4.0])
    found = np.mean([draws(weights, 0.0, 1.0, 10, (n + 0.5) / 1000) for n in range(1000)], axis=0)
    assert found == pytest.approx(10 * weights / weights.sum(), abs=0.01)
