"""An epoch stopped anywhere goes on with the same samples: in this process, in workers, with others of both."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from curation.errors import RecipeError
from curation.shards import dataset as module
from curation.shards.dataset import ManifestDataset
from curation.shards.loader import ManifestLoader


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    from tests.shards.conftest import write_release

    return str(write_release(tmp_path_factory.mktemp("made") / "release", samples=37, per_shard=6))


def uids(samples) -> list[str]:
    return [sample["uid"] for sample in samples]


def taken(dataset, count: int) -> list[str]:
    return uids(sample for _, sample in zip(range(count), dataset))


def through_json(state: dict) -> dict:
    return json.loads(json.dumps(state))


KINDS = [
    {},
    {"split": "blocks", "block": 3},
    {"weights": "clip_score", "samples": 50, "block": 4},
    {"even": "drop", "block": 2},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 7, 18])
def test_goes_on_where_it_was(out, kind, count):
    for rank in range(2):
        whole = uids(ManifestDataset(out, seed=3, epoch=2, rank=rank, world=2, **kind))
        stopped = ManifestDataset(out, seed=3, epoch=2, rank=rank, world=2, **kind)
        assert taken(stopped, count) == whole[:count]
        state = through_json(stopped.state_dict())
        again = ManifestDataset(out, seed=3, rank=rank, world=2, **kind)
        again.load_state_dict(state)
        assert len(again) == len(whole) - count and uids(again) == whole[count:]
        assert uids(again) == whole and taken(again, 3) == whole[:3]  # left out once
        stopped.load_state_dict(through_json(again.state_dict()))
        assert uids(stopped) == whole[3:]


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("worlds", [(2, 3), (3, 1), (1, 4), (4, 2)])
def test_other_ranks_take_what_is_left(out, kind, worlds):
    before, after = worlds
    everything = sorted(uids(ManifestDataset(out, **kind)))
    first = [ManifestDataset(out, rank=r, world=before, **kind) for r in range(before)]
    seen = [uid for each in first for uid in taken(each, 5)]
    state = through_json(first[0].state_dict(taken=5))
    middle = [ManifestDataset(out, rank=r, world=after, **kind | {"split": "runs", "block": 2}) for r in range(after)]
    for each in middle:
        each.load_state_dict(state)
    seen += [uid for each in middle for uid in taken(each, 2)]
    state = through_json(middle[0].state_dict(taken=2))
    last = ManifestDataset(out, **kind | {"split": "blocks", "block": 5})
    last.load_state_dict(state)
    assert sorted(seen + uids(last)) == everything == sorted(uids(last))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_each_worker_goes_on_with_its_own(out, kind, workers, monkeypatch):
    """As a loader does that asks the dataset in each of its workers for its state."""
    found = []
    for number in range(workers):
        monkeypatch.setattr(module, "get_worker_info", lambda n=number: SimpleNamespace(id=n, num_workers=workers))
        one = ManifestDataset(out, **kind)
        whole = uids(one)
        stopped = ManifestDataset(out, **kind)
        assert taken(stopped, 4) == whole[:4]
        again = ManifestDataset(out, **kind)
        again.load_state_dict(through_json(stopped.state_dict()))
        iterator = iter(again)
        assert uids(s for _, s in zip(range(2), iterator)) == whole[4:6]
        last = ManifestDataset(out, **kind)
        last.load_state_dict(through_json(again.state_dict()))
        assert uids(last) == whole[6:] and uids(last) == whole
        found += whole
        with pytest.raises(RecipeError, match=r"the state is of worker .* wanted the same"):
            ManifestDataset(out, **kind | {"block": 5}).load_state_dict(again.state_dict())
    monkeypatch.undo()
    assert sorted(found) == sorted(uids(ManifestDataset(out, **kind)))
    with pytest.raises(RecipeError, match="the state is of worker"):
        ManifestDataset(out, **kind).load_state_dict(again.state_dict() | {"worker": [1, 9]})


def test_a_state_of_something_else_is_refused(out):
    state = ManifestDataset(out, seed=1).state_dict()
    with pytest.raises(RecipeError, match="another seed"):
        ManifestDataset(out).load_state_dict(state)
    with pytest.raises(RecipeError, match="another selection"):
        ManifestDataset(out, seed=1, where={"width": {"max": 66}}).load_state_dict(state)


@pytest.mark.parametrize(("even", "batches"), [(None, {2, 3}), ("drop", {2}), ("pad", {3})])
def test_even_ranks_have_equally_many_whole_batches(out, even, batches):
    loaders = [ManifestLoader(ManifestDataset(out, rank=r, world=3, even=even), 5, collate=uids) for r in range(3)]
    found = [list(loader) for loader in loaders]
    assert {len(each) for each in found} <= {*batches, 3} if even is None else {len(each) for each in found} == batches
    assert even is None or {len(batch) for each in found for batch in each} == {5}
    assert [len(loader) for loader in loaders] == [len(list(loader)) for loader in loaders]
    seen = {uid for each in found for batch in each for uid in batch}
    assert len(seen) == (30 if even == "drop" else 37)


@pytest.mark.parametrize(("before", "after"), [((5, 0), (5, 0)), ((5, 2), (5, 0)), ((5, 0), (4, 2))])
def test_a_loader_goes_on_at_the_batch_that_was_given_last(out, before, after):
    whole = [ManifestLoader(ManifestDataset(out, seed=1, epoch=e), before[0], collate=uids) for e in (0, 1)]
    first, second = (list(loader) for loader in whole)
    stopped = ManifestLoader(ManifestDataset(out, seed=1), before[0], workers=before[1], collate=uids)
    assert [batch for _, batch in zip(range(3), stopped)] == first[:3]
    state = through_json(stopped.state_dict())
    again = ManifestLoader(ManifestDataset(out, seed=1), after[0], workers=after[1], collate=uids)
    again.load_state_dict(state)
    left = [uid for batch in first[3:] for uid in batch]
    batches = list(again)
    assert [uid for batch in batches for uid in batch] == left
    assert {len(batch) for batch in batches[:-1]} == {after[0]}
    assert again.epoch == 1
    if before == after:
        assert list(again) == second and again.epoch == 2
        assert list(stopped) == first[3:]  # left in the middle, the same object goes on too


@pytest.mark.parametrize("kind", [{}, {"split": "blocks"}, {"weights": "clip_score", "samples": 50}])
@pytest.mark.parametrize("even", ["drop", "pad"])
@pytest.mark.parametrize("worlds", [(2, 3), (3, 1), (1, 4), (4, 2)])
def test_even_loaders_go_on_with_other_ranks(out, worlds, even, kind):
    """Of what two stops have left, only what does not divide is left out (drop) or made up (pad)."""
    seen, state = Counter(), None
    for world, batch, batches in ((worlds[0], 3, 2), (worlds[1], 2, 1), (2, 4, None)):
        datasets = [ManifestDataset(out, rank=r, world=world, even=even, **kind) for r in range(world)]
        loaders = [ManifestLoader(dataset, batch, collate=uids) for dataset in datasets]
        for loader in loaders:
            if state is not None:
                loader.load_state_dict(state)
            steps = len(loader) if batches is None else batches
            given = [found for _, found in zip(range(steps), loader)]
            assert [len(found) for found in given] == [batch] * steps
            seen.update(uid for found in given for uid in found)
        [state] = {json.dumps(loader.state_dict()): through_json(loader.state_dict()) for loader in loaders}.values()
    wanted = Counter(uids(ManifestDataset(out, **kind)))
    left = wanted.total() - worlds[0] * 6 - worlds[1] * 2
    assert seen.total() - wanted.total() == (-(left % 8) if even == "drop" else -left % 8)
    assert seen <= wanted if even == "drop" else seen >= wanted
    last = ManifestLoader(ManifestDataset(out, **kind, even=even), 1, collate=uids)
    last.load_state_dict(state)  # of the last batch of all: what was left out is dealt to fewer ranks, nothing else is
    seen.update(uid for batch in last for uid in batch)
    assert seen == wanted if even == "drop" else seen.total() == wanted.total() + -left % 8
