"""The `curate` command: a subcommand per function; curation.job turns each signature into a command line.

Heavy modules are imported by the subcommand that needs them, so that `curate --help` answers at once.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable

from curation import job
from curation.errors import unknown

# Subcommand -> module and function. The module is imported only when its subcommand is used or its help is shown.
COMMANDS = {
    "ingest": ("curation.ingest", "ingest"),
    "download": ("curation.download.pool", "download"),
    "metadata": ("curation.metadata.build", "metadata"),
    "plan": ("curation.plan", "plan"),
    "run": ("curation.run", "run"),
    "score": ("curation.score", "score"),
    "vectors": ("curation.vector_files", "vectors"),
    "calibrate": ("curation.calibrate", "calibrate"),
    "why": ("curation.explain", "why"),
    "compare": ("curation.explain", "compare"),
    "export": ("curation.export", "export"),
    "forget": ("curation.shards.forget", "forget"),
    "retrieval": ("curation.retrieval", "retrieval"),
    "verify": ("curation.shards.verify", "verify_release"),
    "report": ("curation.report.report", "report"),
    "train": ("curation.trainer.train", "train"),
    "evaluate": ("curation.trainer.evaluate", "evaluate"),
    "recipes": ("curation.catalogue", "recipes"),
    "signals": ("curation.catalogue", "signals"),
    "stages": ("curation.catalogue", "stages"),
}


def command(name: str) -> Callable:
    """The function behind a subcommand."""
    module, function = COMMANDS[name]
    return getattr(importlib.import_module(module), function)


def main(argv: list[str] | None = None) -> None:
    """Entry point of `curate`."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        from curation import __version__

        print(__version__)
        sys.exit(0)
    name = arguments[0]
    if name not in COMMANDS:
        print(unknown("command", [name], COMMANDS, "curate"), file=sys.stderr)
        sys.exit(2)
    parser = job.parser_for(command(name), f"curate {name}")
    sys.exit(job.finish(command(name), parser.parse_args(arguments[1:])))


def _overview() -> str:
    lines = ["usage: curate COMMAND ...    (curate COMMAND --help says more)", ""]
    return "\n".join([*lines, *(f"  {name:10} {_first_line(*COMMANDS[name])}" for name in COMMANDS)])


def _first_line(module: str, function: str) -> str:
    """The first line of a docstring, read from the source: importing all commands would load torch and Spark."""
    source = importlib.util.find_spec(module).loader.get_source(module)
    found = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function)
    return (ast.get_docstring(found) or "").split("\n")[0]


if __name__ == "__main__":
    main()
