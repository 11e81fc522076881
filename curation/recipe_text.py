"""The text of a recipe and the tables in it, as written, with the changes of `--set`; not yet what they mean."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from curation.errors import RecipeError, unknown


class Written(BaseModel):
    """The types in a [[stage]] table."""

    run: str | None = None
    name: str | None = None
    on: list[str] | None = None
    settings: dict[str, Any] = Field({}, alias="with")


FORM = {"signals": dict[str, Any], "inputs": dict[str, str], "stage": list[Written], "phase": list[dict[str, Any]]}


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    files = resources.files("curation.recipes").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML of a packaged recipe, or of a file whose path ends in .toml."""
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise RecipeError(f"no recipe file {name}; packaged recipes: {recipe_names()}")
        try:
            return Path(name).read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RecipeError(f"recipe {name}: not UTF-8: {error}") from error
    if name not in recipe_names():
        raise unknown("recipe", [name], recipe_names(), "recipes (or give a path ending in .toml)")
    return (resources.files("curation.recipes") / f"{name}.toml").read_text("utf-8")


def recipe_tree(name: str, text: str, changes: list[str]) -> dict[str, Any]:
    """The tables of a recipe after its changes (`step.setting=value`); RecipeError where it is no recipe in form."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {name}: not valid TOML: {error}") from error
    _check_form(tree, f"recipe {name}")
    for change in changes:
        _apply(tree, change, name)
        _check_form(tree, f"--set {change} (recipe {name})")
    return tree


def _check_form(tree: dict[str, Any], where: str) -> None:
    """RecipeError unless the tables are those of a recipe, each of its kind."""
    if set(tree) - set(FORM):
        raise unknown("table", set(tree) - set(FORM), FORM, where)
    for name, value in tree.items():
        try:
            TypeAdapter(FORM[name]).validate_python(value)
        except ValidationError as error:
            wanted = f"[[{name}]]" if name in ("stage", "phase") else f"[{name}]"
            raise RecipeError(f"{where}: wanted {wanted}: {explained(error)}") from error


def _apply(tree: dict[str, Any], change: str, recipe: str) -> None:
    """One `--set`: `signals.clip=NAME`, `inputs.imagenet=PATH` or `STEP.setting.deeper=VALUE`."""
    path, equals, value = change.partition("=")
    names = path.split(".")
    if not equals or len(names) < 2:
        raise RecipeError(f"--set {change}: wanted STEP.SETTING=VALUE or signals.NAME=VALUE")
    if names[0] in ("signals", "inputs"):
        table = tree.setdefault(names[0], {})
    else:
        steps = {s.get("name", s.get("run")): s for s in tree.get("stage", [])}
        if names[0] not in steps:
            raise unknown("step", [names[0]], [*steps, "signals", "inputs"], f"--set {change} (recipe {recipe})")
        table = steps[names[0]].setdefault("with", {})
    for name in names[1:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {change}: {name} is {table!r} and has no settings of its own")
    table[names[-1]] = set_value(value)


def set_value(text: str) -> Any:
    """The value of a `--set`: TOML where it is that, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def explained(error: ValidationError) -> str:
    """What is wrong, in a line: where, and what was wanted."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}".lstrip(": ") for e in error.errors()[:3])
