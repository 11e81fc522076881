"""TOML -> checked steps. Everything that can be wrong with a recipe is found here, before any work starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from curation.bounds import Bound, check_type
from curation.errors import RecipeError, unknown
from curation.graph import Graph, Node, closure
from curation.recipe_text import explained, recipe_text, recipe_tree
from curation.representatives import check_earlier
from curation.schema import OPT_OUT, PAIRS, VERDICT
from curation.stage import StageSpec

POOL = "pool"
FILES = ("file", "scorer", "faces", "evaluation")  # kinds of settings that [inputs] may give


@dataclass(frozen=True)
class Step:
    """One stage with its input tables and its resolved settings, defaults included."""

    name: str
    stage: Any
    on: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def spec(self) -> StageSpec:
        return self.stage.spec


class Phase(BaseModel):
    """One [[phase]] of training, as the recipe's paper has it: on which sets of shards (write_shards.by), how long.

    The sets are those listed, those of a number up to one, or all.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    sets: list[str] | None = None
    up_to: float | None = None
    epochs: Annotated[float | None, Field(gt=0)] = None
    lr: Annotated[float | None, Field(gt=0)] = None

    @model_validator(mode="after")
    def _one_choice(self) -> "Phase":
        if self.sets is not None and self.up_to is not None:
            raise ValueError("give sets or up_to, not both")
        return self

    def takes(self, name: str) -> bool:
        """Whether a set of that name, the column's value as Spark writes it, belongs to the phase."""
        if self.up_to is None:
            return self.sets is None or name in self.sets
        try:
            return float(name) <= self.up_to
        except ValueError:
            return False


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `text` is what was read, before `--set`."""

    name: str
    text: str
    graph: Graph
    steps: tuple[Step, ...]
    phases: tuple[Phase, ...] = ()

    def cheap_signals(self, start: int) -> tuple[Node, ...]:
        """Signals that steps from number `start` on read and that cost little where a picture is decoded anyway."""
        made = {c.name for s in self.steps for c in s.spec.output} | {*PAIRS.names}
        wanted = [(s, t) for s in self.steps[start:] for t, on in zip(s.spec.reads, s.on) if "." not in on]
        names = dict.fromkeys(n for s, t in wanted for n in s.spec.columns(t, s.settings) if n in self.graph)
        nodes = closure(self.graph.node(name) for name in names if name not in made)
        return tuple(node for node in nodes if node.cheap_once_decoded)


def load_recipe(name: str, changes: list[str] | None = None) -> Recipe:
    """Read, change (`step.setting=value`) and check a recipe; RecipeError says where it is wrong and what exists."""
    text = recipe_text(name)
    tree = recipe_tree(name, text, changes or [])
    inputs = _check_inputs(tree.get("inputs", {}), name)
    files = signal_files()
    graph = Graph({k: v for k, v in inputs.items() if k in files} | tree.get("signals", {}))
    steps: list[Step] = []
    for table in tree.get("stage", []):
        steps.append(_step(table, steps, graph, inputs, name))
    if not steps:
        raise RecipeError(f"recipe {name}: no [[stage]]")
    read = {setting for step in steps for setting in step.spec.settings} | files
    if set(inputs) - read:
        raise unknown("input", set(inputs) - read, read, f"recipe {name}: [inputs]")
    early = [s.name for s in steps[:-1] if "out" in s.spec.settings]
    if early:
        raise RecipeError(f"recipe {name}: {early} makes the release and can only be the last step, once")
    phases = tuple(_phase(table, f"recipe {name}, phase {n}") for n, table in enumerate(tree.get("phase", []), 1))
    named = [phase.name for phase in phases if phase.sets is not None or phase.up_to is not None]
    if named and not steps[-1].settings.get("by"):
        raise RecipeError(f"recipe {name}: phases {named} name sets of shards; wanted write_shards.by in the last step")
    return Recipe(Path(name).stem, text, graph, tuple(steps), phases)


def _phase(table: dict[str, Any], where: str) -> Phase:
    try:
        return Phase(**table)
    except ValidationError as error:
        raise RecipeError(f"{where}: {explained(error)}") from error


def _check_inputs(inputs: dict[str, str], recipe: str) -> dict[str, str]:
    for name, path in inputs.items():
        if "://" not in path and not Path(path).exists():
            raise RecipeError(f"recipe {recipe}: [inputs] {name}: no file {path}; use --set inputs.{name}=PATH")
    return inputs


def signal_files() -> set[str]:
    """The names of the inputs that a signal may read."""
    from curation.signals import SIGNALS

    specs = [function.spec for function in SIGNALS.values()]
    return {name for spec in specs for name, kind in spec.models.items() if kind in FILES}


def _step(table: dict, before: list[Step], graph: Graph, inputs: dict[str, str], recipe: str) -> Step:
    from curation.stages import STAGES

    run = table.get("run")
    name = table.get("name", run)
    where = f"recipe {recipe}, stage {name}"
    allowed = {"name", "run", "on", "with"}
    if set(table) - allowed:
        raise unknown("key", set(table) - allowed, allowed, where)
    if run not in STAGES:
        raise unknown("stage", [str(run)], STAGES, where)
    if name in {s.name for s in before} or name == POOL:
        raise RecipeError(f"{where}: the name is taken; give each step its own name")
    stage = STAGES[run]
    on = tuple(table.get("on") or [before[-1].name if before else POOL])
    _check_tables(on, stage.spec, before, where)
    given = {k: v for k, v in inputs.items() if k in stage.spec.settings} | table.get("with", {})
    settings = check_settings(stage.spec, given, where)
    for setting in sorted(signal_files() & set(settings) & set(graph.shared)):
        if settings[setting] != graph.shared[setting]:
            raise RecipeError(
                f"{where}: {setting} = {settings[setting]!r}, but the signals read {graph.shared[setting]!r}; set "
                f"inputs.{setting}, which is for both"
            )
    step = Step(name, stage, on, settings)
    _check_columns(step, before, graph, where)
    return step


def _check_tables(on: tuple[str, ...], spec: StageSpec, before: list[Step], where: str) -> None:
    if len(on) != len(spec.reads):
        raise RecipeError(f"{where}: {spec.name} takes the tables {list(spec.reads)}, `on` gives {list(on)}")
    known = [POOL, *(s.name for s in before), *(f"{s.name}.{t}" for s in before for t in s.spec.tables)]
    if set(on) - set(known):
        raise unknown("table", set(on) - set(known), known, f"{where}: on")


def check_settings(spec: StageSpec, given: dict[str, Any], where: str) -> dict[str, Any]:
    """Settings of a stage with defaults filled in and types checked against the signature."""
    if set(given) - set(spec.settings):
        raise unknown("setting", set(given) - set(spec.settings), spec.settings, where)
    settings = {}
    for name, default in spec.settings.items():
        value = given.get(name, default)
        if value is ...:
            raise RecipeError(f"{where}: setting {name} must be given")
        try:
            settings[name] = TypeAdapter(spec.annotations[name]).validate_python(value)
        except ValidationError as error:
            raise RecipeError(f"{where}: setting {name} = {value!r}: {explained(error)}") from error
    return settings


def _check_columns(step: Step, before: list[Step], graph: Graph, where: str) -> None:
    """Every column that the stage reads of its pairs must be a pool column, an earlier stage's, or a signal."""
    for table, name in zip(step.spec.reads, step.on):
        if "." in name:
            continue
        made = {c.name for s in _chain(name, before) for c in s.spec.output if c not in VERDICT.columns}
        known = {*PAIRS.names, OPT_OUT, *made, *graph.functions, *graph.aliases}
        wanted = [c.removesuffix("__error") for c in step.spec.columns(table, step.settings)]
        missing = [c for c in wanted if c not in known and not c.startswith("extra.")]
        if missing:
            raise unknown("signal or column", missing, known, where)
        for column in wanted:
            if column in graph and column not in made and column not in PAIRS.names:
                graph.node(column)  # a missing model is refused here, with the ways to get one
    vectors = step.settings.get("vectors")
    if step.settings.get("against") and vectors in graph:
        check_earlier(step.settings["against"], graph.node(vectors).key, vectors, where)
    types = {c.name: c.type for c in (*PAIRS.columns, *(c for s in _chain(step.on[0], before) for c in s.spec.output))}
    bounds = (v for v in step.settings.values() if isinstance(v, dict))
    for name, bound in (item for setting in bounds for item in setting.items()):
        if isinstance(bound, Bound) and not name.startswith("extra."):
            check_type(name, bound, types[name] if name in types else graph.node(name).spec.type)


def _chain(name: str, before: list[Step]) -> list[Step]:
    """The steps that a table comes of, in order: each adds its columns to those of the first table that it takes."""
    steps, chain = {s.name: s for s in before}, []
    while name in steps:
        chain.insert(0, steps[name])
        name = steps[name].on[0]
    return chain


def plain(value: Any) -> Any:
    """A setting as JSON can hold it, bounds and the like as they were written."""
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value
