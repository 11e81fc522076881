"""Signals as a graph: which signals a column needs, with which settings, and the key under which each is stored."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from curation.errors import RecipeError, StaleOutputError, unknown
from curation.models.named import check_sizes
from curation.recipe_text import explained
from curation.schema import PAIRS, hex_id
from curation.signal import IMAGE_INPUTS, PICTURES, PIXELS, SignalSpec


@dataclass(frozen=True)
class Node:
    """A signal with its settings resolved. `inputs` are other nodes, pool columns or engine inputs, in call order."""

    function: Callable
    settings: tuple[tuple[str, Any], ...]
    inputs: tuple["Node | str | None", ...]  # None: not read under these settings
    key: str
    raw: frozenset[str] = field(compare=False)  # pool columns and engine inputs at the roots

    @property
    def spec(self) -> SignalSpec:
        return self.function.spec

    @property
    def level(self) -> str:
        """`image` (of the image alone, stored by image_id), `text` (of columns alone) or `pair` (of both)."""
        images = self.raw & set(IMAGE_INPUTS)
        if not images:
            return "text"
        return "image" if self.raw == images else "pair"

    @property
    def columns(self) -> tuple[str, ...]:
        """The pool columns at the roots, sorted: what the digest of a row's inputs is taken over."""
        return tuple(sorted(self.raw - set(IMAGE_INPUTS)))

    @property
    def stored(self) -> bool:
        if self.spec.type == PICTURES:
            return False
        # A picture is read once, so what is read off it is kept.
        return self.spec.stored or any(i in IMAGE_INPUTS for i in self.inputs)

    @property
    def cheap_once_decoded(self) -> bool:
        """Whether this is a value of the decoded picture that no model is asked for."""
        asks = any(n.spec.models for n in closure([self]))
        return self.stored and self.level == "image" and self.decodes and not asks

    @property
    def decodes(self) -> bool:
        return not self.raw.isdisjoint(PIXELS)

    @property
    def column(self) -> str:
        """Column name inside a batch: unique, since one signal may be there under two settings."""
        return f"{self.spec.name}_{self.key[:12]}"


class Graph:
    """All signals under a recipe's [signals] tables: shared settings, and second columns made from the same signal."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        from curation.signals import SIGNALS

        self.functions = SIGNALS
        tables = settings or {}
        self.aliases = {k: v for k, v in tables.items() if isinstance(v, dict)}
        self.shared = {k: v for k, v in tables.items() if not isinstance(v, dict)}
        self._check()

    def _check(self) -> None:
        known = {name for function in self.functions.values() for name in function.spec.settings}
        if set(self.shared) - known:
            raise unknown("setting", set(self.shared) - known, known, "[signals]")
        for name, table in self.aliases.items():
            where = f"[signals.{name}]"
            if table.get("of", name) not in self.functions:
                raise unknown("signal", [str(table.get("of", name))], self.functions, where)
            if set(table) - known - {"of"}:
                raise unknown("setting", set(table) - known - {"of"}, {*known, "of"}, where)

    def __contains__(self, name: str) -> bool:
        return name in self.functions or name in self.aliases

    def node(self, name: str) -> Node:
        """The resolved signal behind a column name; RecipeError for an unknown one or an input nobody makes."""
        if name not in self:
            raise unknown("signal", [name], [*self.functions, *self.aliases], "signals")
        table = dict(self.aliases.get(name, {}))
        function = self.functions[table.pop("of", name)]
        if function.spec.type == PICTURES:
            raise RecipeError(f"signal {name} makes pictures for other signals; no table has a column of them")
        return self._resolve(function, self.shared | table, ())

    def _resolve(self, function: Callable, settings: dict[str, Any], path: tuple[str, ...]) -> Node:
        spec = function.spec
        if spec.name in path:
            raise RecipeError(f"signal {spec.name} reads itself: {' -> '.join([*path, spec.name])}")
        own = {k: _frozen(settings.get(k, v)) for k, v in spec.settings.items()}
        _check_settings(spec, own)
        instead, path = spec.instead(own) if spec.instead else {}, (*path, spec.name)
        under = [settings | change for change in _changes(spec, own)]
        inputs = tuple(self._input(instead.get(name, name), each, path) for each in under for name in spec.reads)
        for read in inputs:
            if isinstance(read, Node) and "clip" in read.spec.models:
                check_sizes(spec.models, own, dict(read.settings))
                _check_evaluation(spec, own, read)
        raw = frozenset(r for i in inputs if i is not None for r in (i.raw if isinstance(i, Node) else [i]))
        return Node(function, tuple(sorted(own.items())), inputs, _key(spec, own, inputs), raw)

    def _input(self, name: str | None, settings: dict[str, Any], path: tuple[str, ...]) -> "Node | str | None":
        if name is None:
            return None
        if name in self.functions:
            return self._resolve(self.functions[name], settings, path)
        if name in IMAGE_INPUTS or name in PAIRS.names:
            return name
        known = [*IMAGE_INPUTS, *PAIRS.names, *self.functions]
        raise unknown("input", [name], known, f"signal {path[-1]}")


def _check_evaluation(spec: SignalSpec, settings: dict[str, Any], read: Node) -> None:
    """RecipeError where a file of evaluation sets was made by another descriptor than the one that is read here."""
    for name in (name for name, kind in spec.models.items() if kind == "evaluation"):
        from curation.models.evaluation import check_descriptor

        check_descriptor(settings[name], read.key, dict(read.settings))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _changes(spec: SignalSpec, own: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes of settings under which a signal reads its inputs: none, or one for each value that it lists."""
    if spec.each is None:
        return [{}]
    setting, listed = spec.each
    values = own[listed]
    if not isinstance(values, tuple) or not values or not all(isinstance(value, str) for value in values):
        raise RecipeError(f"signal {spec.name}: {listed} = {values!r}, wanted a list of names, at least one")
    return [{setting: value} for value in values]


def _check_settings(spec: SignalSpec, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if value is ...:
            raise RecipeError(f"signal {spec.name}: setting {name} must be given, in [signals] or [inputs]")
        if value not in spec.choices.get(name, (value,)):
            raise unknown(name, [str(value)], spec.choices[name], f"signal {spec.name}")
        if name in spec.choices or (spec.each and name == spec.each[1]):
            continue  # a choice is known now, and a list is a tuple here, which _changes checks
        try:
            TypeAdapter(spec.annotations[name]).validate_python(value, strict=True)
        except ValidationError as error:
            raise RecipeError(f"signal {spec.name}: setting {name} = {value!r}: {explained(error)}") from error


def _key(spec: SignalSpec, settings: dict[str, Any], inputs: Iterable["Node | str"]) -> str:
    from curation.models.named import identity

    models = {name: identity(kind, settings[name]) for name, kind in spec.models.items()}
    own = {name: value for name, value in settings.items() if (name, value) not in spec.added.items()}
    read = [i.key if isinstance(i, Node) else i for i in inputs]
    return hex_id("signal", json.dumps([spec.name, spec.version, own, models, read], sort_keys=True, default=str))


def check_unchanged(nodes: Iterable[Node]) -> None:
    """StaleOutputError where a file that a signal's settings name is another one than when its key was made."""
    for node in closure(nodes):
        if _key(node.spec, dict(node.settings), node.inputs) != node.key:
            raise StaleOutputError(
                f"signal {node.spec.name}: a file that its settings name was changed while it ran; run it again"
            )


def placed(node: Node) -> Node:
    """The node for a task, which runs in another folder: model files are named by absolute paths; its key stays."""
    from curation.models.named import absolute_name

    kinds = node.spec.models
    settings = tuple((k, absolute_name(kinds[k], v) if k in kinds else v) for k, v in node.settings)
    inputs = tuple(placed(i) if isinstance(i, Node) else i for i in node.inputs)
    return replace(node, settings=settings, inputs=inputs)


def closure(nodes: Iterable[Node]) -> list[Node]:
    """The nodes and all they read, inputs before readers, each once; order depends on keys alone."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key in found:
            return
        for each in node.inputs:
            if isinstance(each, Node):
                visit(each)
        found[node.key] = node

    for node in sorted(nodes, key=lambda n: n.key):
        visit(node)
    return list(found.values())


def by_name(nodes: Iterable[Node]) -> dict[str, Node]:
    """The nodes by the name of their signal or, where one is there under several settings, of their column."""
    listed = list(nodes)
    names = Counter(node.spec.name for node in listed)
    return {node.spec.name if names[node.spec.name] == 1 else node.column: node for node in listed}


def stored_inputs(nodes: Iterable[Node]) -> list[Node]:
    """The stored signals that must be at hand to compute `nodes`: the nearest stored ones below them."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        for each in node.inputs:
            if isinstance(each, Node):
                if each.stored:
                    found[each.key] = each
                else:
                    visit(each)

    for node in nodes:
        visit(node)
    return [found[key] for key in sorted(found)]
