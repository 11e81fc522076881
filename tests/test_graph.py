"""The graph of signals: inputs by name, levels, keys that change with what matters and with nothing else."""

import pytest

from curation.errors import RecipeError, StaleOutputError
from curation.graph import Graph, by_name, check_unchanged, closure, stored_inputs


def test_levels_and_roots_follow_the_parameter_names(model):
    graph = Graph({"clip": model})
    levels = {n: graph.node(n).level for n in ("image_aspect", "caption_words", "caption_embedding", "clip_score")}
    assert levels == {
        "image_aspect": "image",
        "caption_words": "text",
        "caption_embedding": "text",
        "clip_score": "pair",
    }
    assert graph.node("clip_score").columns == ("caption",)


def test_inputs_come_before_readers_and_each_once(model):
    graph = Graph({"clip": model})
    names = [n.spec.name for n in closure([graph.node("number_masked_clip_score"), graph.node("clip_score")])]
    assert sorted(names) == sorted(set(names))
    assert names.index("image_embedding") < names.index("clip_score")
    assert names.index("number_masked_caption") < names.index("number_masked_clip_score")


def test_a_setting_changes_the_key_of_what_it_reaches_and_of_its_readers_only(model):
    plain, tokens = Graph({"clip": model}), Graph({"clip": model, "variant": "tokens"})
    assert plain.node("clip_score").key == tokens.node("clip_score").key
    assert plain.node("number_masked_clip_score").key != tokens.node("number_masked_clip_score").key


def test_other_weights_are_another_key(model, tmp_path):
    from tests.small_clip import CONFIG, write_model

    config = {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "embed_dim": 16}}
    other = write_model(tmp_path / "other", config)
    assert Graph({"clip": model}).node("clip_score").key != Graph({"clip": other}).node("clip_score").key


def test_a_second_column_from_the_same_signal(model, tmp_path):
    from tests.small_clip import CONFIG, write_model

    other = write_model(tmp_path / "b", {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "embed_dim": 16}})
    graph = Graph({"clip": model, "clip_score_b": {"of": "clip_score", "clip": other}})
    first, second = graph.node("clip_score"), graph.node("clip_score_b")
    assert first.key != second.key and first.column != second.column
    assert {n.spec.name for n in stored_inputs([second])} == {"image_embedding", "caption_embedding"}
    assert all(dict(n.settings)["clip"] == other for n in stored_inputs([second]))


def test_unknown_names_list_what_exists():
    with pytest.raises(RecipeError, match=r"\[signals.x\]: no signal \['clip_scor'\]; known: \[.*'clip_score'"):
        Graph({"x": {"of": "clip_scor"}})
    with pytest.raises(RecipeError, match=r"no setting \['clipp'\]"):
        Graph({"clip_score": {"clipp": "y"}})


@pytest.mark.parametrize(
    ("signal", "setting", "value", "says"),
    [
        ("image_text", "ocr_side_px", "big", "valid integer"),
        ("image_text", "text_score", "abc", "valid number"),
        ("pooled_embedding", "image_weight", 1.5, "less than or equal to 1"),
        ("clip_score", "clip", 5, "valid string"),
        ("clip_score", "clip", ["sample-clip"], "valid string"),
        ("refclip_s", "rule", ["paper"], "known"),
        ("mean_clip_score", "checkpoints", "sample-clip", "wanted a list"),
    ],
)
def test_a_setting_of_another_type_is_refused(signal, setting, value, says):
    with pytest.raises(RecipeError, match=rf"signal \w+: .*{setting}.*{says}"):
        Graph({setting: value}).node(signal)
    with pytest.raises(RecipeError, match=says):
        Graph({"mine": {"of": signal, setting: value}}).node("mine")


def test_one_signal_under_two_settings_has_two_names(model, tmp_path):
    from tests.small_clip import CONFIG, write_model

    other = write_model(tmp_path / "c", {**CONFIG, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}})
    weights = tmp_path / "c/open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"\0\0")
    node = Graph({"checkpoints": [model, other], "clip": "sample-clip"}).node("mean_clip_score")
    assert [dict(n.inputs[0].settings)["clip"] for n in node.inputs] == [model, other]
    named = by_name(closure([node]))
    assert len(named) == 7 and "mean_clip_score" in named and "clip_score" not in named
    assert {n.split("_")[0] for n in named if named[n] is not node} == {"clip", "image", "caption"}


def test_a_file_that_is_changed_while_a_signal_is_computed(model, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a dog")
    node = Graph({"clip": model, "prompts": str(prompts)}).node("prompt_similarity")
    check_unchanged([node])
    prompts.write_text("a cat, perhaps")
    with pytest.raises(StaleOutputError, match="signal prompt_class: a file that its settings name was changed"):
        check_unchanged([node])
