"""A model's name leads to its files, or to a message that says how to get it."""

import copy
import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile

import pytest

from curation.errors import MissingModelError
from curation.graph import Graph
from curation.models.clip import digest, load, resolve

pytest.importorskip("torch")
from tests.small_clip import CONFIG, write_model


def test_digest_follows_the_file(tmp_path: pathlib.Path) -> None:
    name = write_model(tmp_path, name="model.safetensors")
    before = digest(name)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert digest(name) != before


@pytest.mark.parametrize("changed", ["preprocess_cfg", "model_cfg", "tokenizer.json"])
def test_values_of_the_same_weights_set_up_otherwise_have_another_key(tmp_path: pathlib.Path, changed: str) -> None:
    name = write_model(tmp_path)
    key = Graph({"clip": name}).node("clip_score").key
    assert Graph({"clip": name}).node("clip_score").key == key
    config = copy.deepcopy(CONFIG)
    if changed == "preprocess_cfg":
        config[changed]["mean"] = [0.5, 0.4, 0.4]
    elif changed == "model_cfg":
        config[changed]["quick_gelu"] = True
    else:
        (tmp_path / changed).write_text("{}")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert Graph({"clip": name}).node("clip_score").key != key
    assert digest(name) == hashlib.sha256((tmp_path / "open_clip_model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "name", ["", "nosuch", "nosuch/openai", "ViT-B-32/nosuch", "local-dir:/nosuch", "ViT-B-23@/x.pt", "/x.safetensors"]
)
def test_missing_models_list_the_ways_to_get_one(name: str) -> None:
    with pytest.raises(MissingModelError, match=r"local-dir:DIR.*ViT-B-32/openai"):
        resolve(name)


def test_what_is_wrong_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingModelError, match="ViT-B-32"):
        resolve("ViT-B-33@x.pt")
    with pytest.raises(MissingModelError, match="openai"):
        resolve("ViT-B-32/nosuch")
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(MissingModelError, match=r"found: \['open_clip_config.json'\]"):
        resolve(f"local-dir:{tmp_path}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(MissingModelError, match="not JSON"):
        resolve(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(MissingModelError, match="does not load"):
        load(f"local-dir:{tmp_path}", "cpu")


def test_without_torch_a_name_is_resolved_and_from_a_zip_a_packaged_model_loads(tmp_path: pathlib.Path) -> None:
    package, model = pathlib.Path(__file__).parents[2] / "curation", tmp_path / "m"
    write_model(model)
    archive = tmp_path / "curation.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(p for p in package.rglob("*.py")):
            zipped.write(path, path.relative_to(package.parent))
        zipped.write(model / "open_clip_config.json", "curation/models/sample-clip.json")
        zipped.write(model / "open_clip_model.safetensors", "curation/data/sample-clip.safetensors")
    program = f"""
import sys
sys.path.insert(0, {str(archive)!r})
from curation.models import clip
print(clip.__file__, clip.digest("sample-clip"), clip.resolve("local-dir:{model}").name)
assert "torch" not in sys.modules
print(clip.load("sample-clip", "cpu").embed_texts(["a dog"]).shape)
"""
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert str(archive) in run.stdout and digest(f"local-dir:{model}") in run.stdout and "(1, 24)" in run.stdout
