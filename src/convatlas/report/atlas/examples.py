"""A page's examples run, and its prose filled with what they computed."""

import contextlib
import io
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jinja2 import Environment, StrictUndefined, TemplateError

from convatlas.report.atlas.content import ContentError

_EXAMPLE: Final = re.compile(r"^```python\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_MARK: Final = "\x02{}\x03"  # stands for an example while Jinja renders the prose, which cannot hold these characters
_MARKS: Final = re.compile("\x02(\\d+)\x03")


class ExampleError(ContentError):
    """An example that raises, or prose that names what no example computed; the message names file and example."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A block of code, and what it printed."""

    code: str
    output: str


def run_page(body: str, file: str) -> str:
    """The Markdown of a page with each example followed by a block ```` ```output ````, and its prose rendered.

    Every page starts from the same seeds and settings of printing, and leaves those of the process as they were.
    Raises ExampleError that names the file and the example.
    """
    examples: list[Example] = []
    names: dict[str, object] = {"__name__": "example"}

    def run(match: re.Match[str]) -> str:
        line = body.count("\n", 0, match.start()) + 1
        where = f"{file}, example {len(examples) + 1} (line {line} of the text)"
        examples.append(Example(code=match[1], output=_printed(match[1], names, where)))
        return _MARK.format(len(examples) - 1)

    with _fresh():
        marked = _EXAMPLE.sub(run, body)
        rendered = _rendered(marked, {name: value for name, value in names.items() if name[:2] != "__"}, file)
    return _MARKS.sub(lambda match: _shown(examples[int(match[1])]), rendered)


def _printed(code: str, names: dict[str, object], where: str) -> str:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(code, where, "exec"), names)
    except (Exception, SystemExit) as error:  # whatever an example raises, its place is what the author needs
        raise ExampleError(f"{where}: {type(error).__name__}: {error}") from error
    return out.getvalue()


def _rendered(prose: str, names: dict[str, object], file: str) -> str:
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(prose).render(names)
    except (TemplateError, TypeError, ValueError) as error:
        raise ExampleError(f"{file}: its prose: {type(error).__name__}: {error}") from error


def _shown(example: Example) -> str:
    output = f"\n\n```output\n{example.output.rstrip()}\n```" if example.output.strip() else ""
    return f"```python\n{example.code}```{output}"


@contextlib.contextmanager
def _fresh() -> Iterator[None]:
    """The same random numbers and ways of printing for each page, whichever was built before in this process."""
    state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]), np.printoptions():
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        try:
            yield
        finally:
            torch.set_printoptions(profile="default", sci_mode=None)  # type: ignore[no-untyped-call]
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
            random.setstate(state)
            np.random.set_state(numpy_state)
