"""The house limits, checked on the syntax tree."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("curation", "jobs", "sample", "benchmarks", "docs")
FILES = sorted(p for d in FOLDERS for p in (ROOT / d).rglob("*.py") if ".venvs" not in p.parts)
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "legacy"}
NESTING = (ast.If, ast.For, ast.While, ast.Try)  # a `with` holds something, it does not branch
# PyTorch takes an iterable data set only as a subclass; argparse prints errors only through one; pydantic reads
# models only from classes; a NamedTuple and a Protocol are declarations.
ALLOWED_BASES = {"IterableDataset", "ArgumentParser", "BaseModel", "NamedTuple", "Protocol"}


def _tree(path):
    return ast.parse(path.read_text())


def _functions(path):
    return [n for n in ast.walk(_tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _lines(function):
    doc = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (doc.count("\n") + 1 if doc else 0)


def _depth(node, depth=0):
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            continue
        inner = depth + isinstance(child, NESTING)
        if isinstance(child, ast.If) and isinstance(node, ast.If) and child in node.orelse:
            inner = depth  # elif
        deepest = max(deepest, _depth(child, inner))
    return deepest


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_keeps_the_limits(path):
    limit = 300 if path.name == "train.py" else 250
    assert path.read_text().count("\n") <= limit, f"{path}: more than {limit} lines"
    assert path.stem not in FORBIDDEN_NAMES and not path.stem.endswith("_v2")
    for function in _functions(path):
        where = f"{path}:{function.lineno} {function.name}"
        assert _lines(function) <= 40, f"{where}: {_lines(function)} lines"
        assert _depth(function) <= 3, f"{where}: nested {_depth(function)} deep"
        positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
        kernel = any("compiled" in ast.unparse(d) for d in function.decorator_list)  # numba takes no structures
        assert len(positional) <= 7 or kernel, f"{where}: {len(positional)} positional parameters"
        if function.args.kwarg is not None:
            assert path.name in ("stage.py", "single.py"), f"{where}: passes on **{function.args.kwarg.arg}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_broad_except_inheritance_or_dynamic_attribute(path):
    for node in ast.walk(_tree(path)):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None and ast.unparse(node.type) not in ("Exception", "BaseException"), where
        if isinstance(node, ast.ClassDef) and path.name != "errors.py" and not node.name.endswith("Error"):
            assert {ast.unparse(b).split(".")[-1] for b in node.bases} <= ALLOWED_BASES, f"{where} class {node.name}"
        if isinstance(node, ast.Global):
            raise AssertionError(f"{where}: mutable global {node.names}")


@pytest.mark.parametrize("path", sorted((ROOT / "curation").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_public_functions_have_a_docstring(path):
    public = [n for n in _tree(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name[0] != "_"]
    missing = [n.name for n in public if not ast.get_docstring(n)]
    assert not missing, f"{path}: no docstring on {missing}"
    assert ast.get_docstring(_tree(path)) or path.read_text() == "", f"{path}: no module docstring"


def test_shards_and_trainer_do_not_know_spark():
    for path in (*(ROOT / "curation/shards").glob("*.py"), *(ROOT / "curation/trainer").glob("*.py")):
        assert "pyspark" not in path.read_text(), path


def test_signals_do_no_input_or_output():
    for path in (ROOT / "curation/signals").glob("*.py"):
        names = {n.id for n in ast.walk(_tree(path)) if isinstance(n, ast.Name)}
        assert not names & {"open", "fsspec", "print"}, path
