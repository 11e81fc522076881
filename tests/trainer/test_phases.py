"""Runs of several phases: WFPP's subset and full set, CLIPA's reduced pictures and captions."""

import json
from copy import deepcopy
from dataclasses import replace
from itertools import groupby

import pytest
import torch

from curation.errors import RecipeError
from curation.shards.manifest import Release
from curation.trainer import train as module
from curation.trainer.model import build_model, carry, check_sizes
from curation.trainer.patches import grid_of
from curation.trainer.phases import phases
from curation.trainer.scales import SCALES
from tests.trainer.conftest import SMALL, change_mark, write_release
from tests.trainer.test_train import Killed, dying_at

WFPP = [
    {"name": "pruned", "sets": ["true"], "epochs": 30, "lr": 1e-3, "shards": [[0, 1]], "samples": 40},
    {"name": "full", "epochs": 1, "lr": 1e-5, "shards": [[0, 1], [2, 2]], "samples": 60},
]


@pytest.fixture(scope="module")
def pruned(tmp_path_factory) -> str:
    """A release whose recipe has WFPP's phases: two shards of the pruned set, one of the rest."""
    out = write_release(tmp_path_factory.mktemp("pruned") / "release", samples=60, per_shard=20)
    change_mark(out, phases=WFPP)
    return str(out)


def plan(samples_seen: int, **changes):
    return replace(SCALES["tiny"], samples_seen=samples_seen, **changes)


def test_the_last_phase_is_one_epoch_on_everything_and_the_rest_goes_to_the_subset(pruned):
    first, last = phases(plan(320), Release.open(pruned), None, 1)
    assert (first.name, first.steps, first.samples, first.lr) == ("pruned", 17, 40, 5e-4)
    assert (last.name, last.steps, last.samples, last.uids) == ("full", 3, 60, None)
    assert last.lr == pytest.approx(5e-6) and last.warmup_steps == 0  # the scale's rate times 1e-5 / 1e-3
    in_pruned = Release.open(pruned).samples(["uid", "shard"]).to_pylist()
    assert sorted(first.uids) == sorted(row["uid"] for row in in_pruned if row["shard"] < 2)


def test_one_phase_alone_takes_all_samples_seen_from_its_shards(tmp_path):
    out = write_release(tmp_path / "release", samples=60, per_shard=20)
    change_mark(out, phases=[{"name": "top 40 %", "sets": ["0.2", "0.4"], "shards": [[0, 1]], "samples": 40}])
    (one,) = phases(plan(320), Release.open(str(out)), None, 1)
    assert (one.name, one.steps, one.samples, one.lr) == ("top 40 %", 20, 40, 5e-4)
    rows = Release.open(str(out)).samples(["uid", "shard"]).to_pylist()
    assert sorted(one.uids) == sorted(row["uid"] for row in rows if row["shard"] < 2)
    with pytest.raises(RecipeError, match="phases=false"):
        phases(plan(320, reduced_text=8), Release.open(str(out)), None, 1)


def test_held_out_samples_are_in_no_phase(pruned):
    kept = Release.open(pruned).samples(["uid"])["uid"].to_pylist()[5:]
    first, last = phases(plan(320), Release.open(pruned), kept, 1)
    assert set(first.uids) < set(last.uids) == set(kept) and last.samples == 55


def test_phases_can_be_turned_off_and_too_few_samples_are_told(pruned):
    (one,) = phases(plan(320, phases=False), Release.open(pruned), None, 1)
    assert (one.name, one.steps, one.lr) == ("all", 20, 5e-4)
    with pytest.raises(
        RecipeError, match=r"48: phase 'full' alone takes 48; wanted at least 64, or --set phases=false"
    ):
        phases(plan(48), Release.open(pruned), None, 1)
    with pytest.raises(RecipeError, match="phases=false"):
        phases(plan(320, reduced_text=8), Release.open(pruned), None, 1)


def test_training_follows_them(quick, pruned, log, monkeypatch):
    seen = []
    update = module.update
    monkeypatch.setattr(module, "update", lambda run, lr, b: (seen.append(b["uid"]), update(run, lr, b))[1])
    lines = log(quick("a", release=pruned, samples_seen=112))
    assert [(name, len(list(each))) for name, each in groupby(line["phase"] for line in lines)] == [
        ("pruned", 4), ("full", 3),
    ]  # fmt: skip
    subset = phases(plan(112), Release.open(pruned), None, 1)[0].uids
    assert {uid for batch in seen[:4] for uid in batch} <= set(subset)
    assert len({uid for batch in seen[4:] for uid in batch}) == 48  # an epoch of whole batches
    assert [line["epoch"] for line in lines] == [0, 0, 1, 1, 2, 2, 2]


CLIPA = ("reduced_image=16", "reduced_text=6", "tuning_share=0.4", "tokens=random")


def test_clipa_trains_small_and_ends_full(quick, small, log, monkeypatch):
    import open_clip

    sizes = []
    update = module.update

    def watched(run, lr, batch):
        sizes.append((tuple(batch["pixels"].shape), tuple(batch["tokens"].shape)))
        return update(run, lr, batch)

    monkeypatch.setattr(module, "update", watched)
    out = quick("a", *CLIPA)
    assert sizes == [((16, 3, 16, 16), (16, 6))] * 3 + [((16, 3, 32, 32), (16, 16))] * 2
    assert [line["phase"] for line in log(out)] == ["reduced"] * 3 + ["tuning"] * 2
    model = open_clip.create_model(f"local-dir:{out}")
    assert model.visual.image_size == (32, 32) and model.context_length == 16


# CLIPA (arXiv:2305.07017): (side / patch) squared tokens of a picture, beside the class token.
@pytest.mark.parametrize(
    ("side", "patch", "tokens"), [(224, 16, 196), (112, 16, 49), (84, 14, 36), (70, 14, 25), (64, 16, 16)]
)
def test_a_smaller_picture_has_as_many_tokens_as_clipa_says(tmp_path, side, patch, tokens):
    config = deepcopy(SMALL)
    config["model_cfg"]["vision_cfg"] |= {"image_size": 224, "patch_size": patch}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    name = f"local-dir:{tmp_path}"
    check_sizes(build_model(name, 0)[0], plan(320, model=name, reduced_image=side))
    model, _, _ = build_model(name, 0, side=side)
    assert grid_of(model) ** 2 == tokens
    seen = []
    model.visual.transformer.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[1]))
    model.encode_image(torch.zeros(1, 3, side, side))
    assert seen == [tokens + 1]


@pytest.mark.parametrize("step", [3, 4])
def test_a_kill_in_any_phase_changes_nothing(quick, log, monkeypatch, tmp_path, step):
    whole = log(quick("whole", *CLIPA))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "update", dying_at(step))
        quick("killed", *CLIPA)
    mark = json.loads((tmp_path / "killed/checkpoint.json").read_text())
    assert (mark["step"], mark["phase"]) == (step, int(step > 3))
    assert log(quick("killed", *CLIPA)) == whole


def test_weights_move_between_sizes(small):
    little, _, config = build_model(small, 0, side=16, context=6)
    assert config["model_cfg"]["vision_cfg"]["image_size"] == 16
    full, _, _ = build_model(small, 1)
    rest = full.positional_embedding[6:].clone()
    carry(little.state_dict(), full)
    assert torch.equal(full.positional_embedding[:6], little.positional_embedding)
    assert torch.equal(full.positional_embedding[6:], rest)
    assert torch.equal(full.visual.positional_embedding[0], little.visual.positional_embedding[0])
    assert full.visual.positional_embedding.shape == (17, 32)
    assert torch.equal(full.token_embedding.weight, little.token_embedding.weight)
    again, _, _ = build_model(small, 2, side=16, context=6)
    carry(full.state_dict(), again)
    assert torch.equal(again.positional_embedding, little.positional_embedding)
