"""Write docs/reference/*.md from the registries, schemas and signatures; --check fails where a page is out of date."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from curation import schema
from curation.cli import COMMANDS, command
from curation.job import parser_for
from curation.recipe_text import recipe_names, recipe_text
from curation.report import plots
from curation.signal import PICTURES
from curation.signals import SIGNALS
from curation.stages import STAGES

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py (make docs); do not edit. -->\n"


def _signature(function: Callable) -> str:
    settings = function.spec.settings.items()
    return ", ".join(f"`{name} = {'required' if value is ... else repr(value)}`" for name, value in settings) or "none"


def signals() -> Iterator[str]:
    """The page of signals."""
    yield "# Signals\n\nA signal is a value of one pair alone. Any of them may be bounded in a recipe.\n"
    for name, function in SIGNALS.items():
        spec = function.spec
        kept = "kept in the store" if spec.stored else "computed where needed"
        made = "pictures, in memory" if spec.type == PICTURES else f"`{spec.type}`"
        yield f"## {name}\n\n{made} · reads {', '.join(f'`{r}`' for r in spec.reads)} · {kept}\n"
        yield f"Settings: {_signature(function)}\n\n{inspect.getdoc(function)}\n"


def stages() -> Iterator[str]:
    """The page of stages."""
    yield "# Stages\n\nA stage looks at whole tables; `[[stage]]` in a recipe runs one.\n"
    for name, function in STAGES.items():
        spec = function.spec
        yield f"## {name}\n\nTables: {', '.join(f'`{t}`' for t in spec.reads)} · version {spec.version}\n"
        yield f"Settings: {_signature(function)}\n\n{inspect.getdoc(function)}\n"
        yield "| adds | type | meaning |\n| --- | --- | --- |"
        yield "\n".join(f"| `{c.name}` | {c.type} | {c.doc} |" for c in spec.output) + "\n"
        for setting, columns in spec.optional.items():
            yield f"With `{setting}`:\n\n" + _columns(columns)
        for table, columns in spec.tables.items():
            yield f"Side table `{table}`:\n\n" + _columns(columns)


def recipes() -> Iterator[str]:
    """The page of recipes."""
    yield "# Recipes\n\n`curate run NAME POOL OUT`; a path ending in `.toml` runs your own.\n"
    for name in recipe_names():
        yield f"## {name}\n\n```toml\n{recipe_text(name).rstrip()}\n```\n"


def commands() -> Iterator[str]:
    """The page of commands."""
    yield "# Commands\n\nThe result is one JSON line on stdout (`why`, `recipes`, `signals` and `stages` print text);"
    yield "progress and errors go to stderr. Exit status 0: done; 2: a wrong recipe, flag, argument or model, before"
    yield "any work, or an output that holds something else, or an input that changed; 1: any other failure.\n"
    for name in COMMANDS:
        text = parser_for(command(name), f"curate {name}").format_help().rstrip()
        yield f"## curate {name}\n\n```text\n{text}\n```\n"


def tables() -> Iterator[str]:
    """The page of tables."""
    yield f"# Tables\n\n{inspect.getdoc(schema)}\n"
    pool = (schema.PAIRS, schema.REJECTS, schema.OPT_OUTS, schema.DOWNLOADS)
    for table in (*pool, schema.VERDICT, schema.SUBSET, schema.SAMPLES, schema.SHARDS):
        yield f"## {table.name}\n\n{_columns(table.columns)}"
    yield f"# Files of the report\n\n{inspect.getdoc(plots)}\n"
    for table in plots.TABLES:
        yield f"## report/{table.name}.parquet\n\n{_columns(table.columns)}"


def _columns(columns: Any) -> str:
    head = "| column | type | null | meaning |\n| --- | --- | --- | --- |\n"
    rows = [f"| `{c.name}` | {c.type} | {'yes' if c.nullable else 'no'} | {c.doc} |" for c in columns]
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Write or check every page; the exit status."""
    os.environ["COLUMNS"] = "110"  # argparse folds help to the terminal's width
    pages = {"signals": signals, "stages": stages, "recipes": recipes, "commands": commands, "tables": tables}
    stale = []
    for name, page in pages.items():
        path, text = FOLDER / f"{name}.md", NOTE + "\n".join(page())
        if "--check" in sys.argv:
            stale += [] if path.exists() and path.read_text() == text else [str(path)]
        else:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"out of date: {', '.join(stale)}; run: make docs", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
