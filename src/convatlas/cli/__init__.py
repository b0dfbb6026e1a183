"""The command line: one file a verb. A verb imports torch only when it runs, so help and look-ups answer at once."""

import io
import os
import sys

import typer

from convatlas.cli import (
    animate,
    atlas,
    compare,
    costs,
    data,
    doctor,
    draw,
    evaluate,
    export,
    field,
    models,
    plot,
    predict,
    runs,
    show,
    train,
    weights,
)
from convatlas.cli.output import note
from convatlas.errors import ConvatlasError

app = typer.Typer(
    name="convatlas",
    help="A runnable atlas of convolutional networks: choose one, train it on your pictures, use it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("models")(models.models)
app.command("costs")(costs.costs)
app.command("show")(show.show)
app.command("draw")(draw.draw)
app.command("animate")(animate.animate)
app.command("plot")(plot.plot)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("field")(field.field)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")
app.command("atlas")(atlas.atlas)
app.command("runs")(runs.runs)
app.command("doctor")(doctor.doctor)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits 0 when all went well, 1 for a failed run, 2 for wrong use, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding does not have
    try:
        app(args=arguments, standalone_mode=True)
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
