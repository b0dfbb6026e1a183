"""The command line: one file a verb. A verb imports torch only when it runs, so help and look-ups answer at once."""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

import typer

from convatlas.cli.output import note
from convatlas.errors import ConvatlasError

# Each is a file here, in the order of the help: with a function of its name, or with an `app` of verbs of its own.
VERBS: Final = (
    "models",
    "costs",
    "show",
    "draw",
    "animate",
    "plot",
    "compare",
    "train",
    "evaluate",
    "field",
    "predict",
    "export",
    "quantize",
    "data",
    "weights",
    "atlas",
    "runs",
    "doctor",
)


def make_app(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The command line with these verbs; the files of the others are not even imported."""
    app = typer.Typer(
        name="convatlas",
        help="A runnable atlas of convolutional networks: choose one, train it on your pictures, use it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_no_more_than_a_verb)
    for verb in verbs:
        module = importlib.import_module(f"convatlas.cli.{verb}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb)
        else:
            app.command(verb)(getattr(module, verb))
    return app


def _no_more_than_a_verb() -> None:
    # Typer would take a command line of one verb for that verb itself.
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits 0 when all went well, 1 for a failed run, 2 for wrong use, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding does not have
    try:
        words = sys.argv[1:] if arguments is None else arguments
        named = words[:1] if words and words[0] in VERBS else VERBS
        make_app(named)(args=words, standalone_mode=True)
    except ConvatlasError as error:
        note(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`| head`) has left; writing to it once more at shutdown would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
