"""Signature -> command line. Positional parameters are arguments, keyword-only ones are flags, the docstring is the
help; the result is one JSON line on stdout. No command has a parser of its own.
"""

import argparse
import inspect
import json
import logging
import os
import signal
import sys
import traceback
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from curation.errors import CurationError
from curation.failures import from_task, spark_failures, store_failures, told
from curation.shown import public


class Parser(argparse.ArgumentParser):
    """Argument errors in the form of the package's own: one line, exit 2, with what exists."""

    def error(self, message: str) -> None:
        flags = sorted(o for a in self._actions for o in a.option_strings if o.startswith("--") and o != "--help")
        known = f"; known flags: {', '.join(flags)}" if flags and "unrecognized" in message else ""
        self.exit(2, f"{self.prog}: {message}{known}\nsee {self.prog} --help\n")


def add_parameters(parser: argparse.ArgumentParser, function: Callable) -> None:
    """Give `parser` an argument per parameter of `function`."""
    for parameter in inspect.signature(function).parameters.values():
        kind, many, optional = _kind(parameter.annotation)
        if parameter.kind is not parameter.KEYWORD_ONLY:
            optional_one = parameter.default is not parameter.empty
            extra = {"nargs": "+"} if many else {"nargs": "?", "default": parameter.default} if optional_one else {}
            parser.add_argument(parameter.name, metavar=parameter.name.upper(), type=kind, **extra)
            continue
        options: dict[str, Any] = {"dest": parameter.name}
        if kind is bool:
            options |= {"action": argparse.BooleanOptionalAction, "default": parameter.default}
        else:
            required = parameter.default in (parameter.empty, ...)
            options |= {"type": kind, "default": None if required else parameter.default, "required": required}
            options |= {"action": "append", "default": None} if many else {}  # what is given replaces the default
            options |= {"choices": optional} if optional else {}
            shown = "" if required or parameter.default is None else f"default: {parameter.default}"
            options |= {"help": shown, "metavar": parameter.name.upper() if not optional else None}
        parser.add_argument("--" + parameter.name.replace("_", "-"), **options)


def _kind(annotation: Any) -> tuple[Callable, bool, list | None]:
    """(converter, takes several values, the values allowed) of an annotation."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    if get_origin(annotation) is Literal:
        return str, False, list(get_args(annotation))
    if get_origin(annotation) is list:
        return _kind(get_args(annotation)[0])[0], True, None
    if get_origin(annotation) is dict:
        return json.loads, False, None
    return (annotation if annotation in (int, float, bool, str) else str), False, None


def call(function: Callable, arguments: argparse.Namespace) -> Any:
    """Call `function` with what its parser read."""
    parameters = inspect.signature(function).parameters.values()
    positional = [getattr(arguments, p.name) for p in parameters if p.kind is not p.KEYWORD_ONLY]
    given = {p: getattr(arguments, p.name) for p in parameters if p.kind is p.KEYWORD_ONLY}
    settings = {p.name: p.default if v is None and p.default is not p.empty else v for p, v in given.items()}
    return function(*positional, **settings)


def finish(function: Callable, arguments: argparse.Namespace) -> int:
    """Call, print the result as one JSON line, and turn expected failures into one line and an exit status.

    The environment variable CURATION_TRACEBACK=1 shows the traceback too, and Spark's own log.
    """
    signals: list[int] = []  # received: whatever error comes of being cut short, the signal is the reason

    def stop(number: int, _: Any) -> None:
        """Leave from wherever the program is, so that locks are let go and temporary files removed."""
        signals.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    if not os.environ.get("CURATION_TRACEBACK"):
        # py4j logs the traceback of a call that a signal or the end of the JVM cuts short; what counts is told below.
        logging.getLogger().addHandler(logging.NullHandler())
    try:
        result = call(function, arguments)
    except BrokenPipeError:  # the reader of our output, `head` say, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, CurationError, OSError, *store_failures(), *spark_failures()) as error:
        if signals or isinstance(error, KeyboardInterrupt):
            return _ended(*signals or [signal.SIGINT])
        return _failed(error)
    if result is not None:
        print(json.dumps(result, sort_keys=True, allow_nan=False), flush=True)
    return int(isinstance(result, dict) and bool(result.get("faults")))


def _ended(number: int) -> int:
    word = "terminated" if number == signal.SIGTERM else "interrupted"
    print(f"{word}; run the same command again to go on", file=sys.stderr)
    return 128 + number


def _failed(error: Exception) -> int:
    if os.environ.get("CURATION_TRACEBACK"):
        traceback.print_exception(error)
    known = from_task(str(error)) or (error if isinstance(error, CurationError) else told(error))
    shown = error if known is None else known
    print(f"{type(shown).__name__}: {public(str(shown))}", file=sys.stderr)
    return 1 if known is None else known.exit_code


def parser_for(function: Callable, name: str, parent: Any = None) -> argparse.ArgumentParser:
    """A parser whose help is the function's docstring; under `parent` (subparsers) where given."""
    text = inspect.getdoc(function) or ""
    form = argparse.RawDescriptionHelpFormatter
    if parent is None:
        parser = Parser(prog=name, description=text, formatter_class=form)
    else:
        parser = parent.add_parser(name, help=text.split("\n")[0], description=text, formatter_class=form)
    parser.allow_abbrev = False
    add_parameters(parser, function)
    return parser


def main(function: Callable, argv: list[str] | None = None) -> None:
    """The whole of a job: a stage, `main(STAGES["dedup_pairs"])`, runs alone; any other function is called."""
    if hasattr(function, "spec"):
        from curation.single import stage_command

        function = stage_command(function)
    parser = parser_for(function, function.__name__)
    sys.exit(finish(function, parser.parse_args(argv)))
