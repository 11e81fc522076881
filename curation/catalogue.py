"""What there is: recipes, signals and stages, one line each, or the whole docstring of one."""

import inspect
import sys
from collections.abc import Callable

from curation.errors import unknown


def recipes(name: str | None = None) -> None:
    """List the recipes, a line each; NAME shows the whole TOML."""
    from curation.recipe_text import recipe_names, recipe_text

    if name is not None:
        print(recipe_text(name))
        return
    for each in recipe_names():
        print(f"{each:16} {recipe_text(each).splitlines()[0].lstrip('# ')}")


def signals(name: str | None = None) -> None:
    """List the signals, a line each; NAME shows one whole."""
    from curation.signals import SIGNALS

    _list("signal", SIGNALS, name)


def stages(name: str | None = None) -> None:
    """List the stages, a line each; NAME shows one whole."""
    from curation.stages import STAGES

    _list("stage", STAGES, name)


def _list(what: str, functions: dict[str, Callable], name: str | None) -> None:
    if name is None:
        for each, function in functions.items():
            print(f"{each:26} {inspect.getdoc(function).splitlines()[0]}")
        return
    if name not in functions:
        raise unknown(what, [name], functions, f"curate {what}s")
    print(f"{name}{inspect.signature(functions[name])}\n\n{inspect.getdoc(functions[name])}", file=sys.stdout)
