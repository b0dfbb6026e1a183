"""The architecture diagram of a network: ours by name, anybody's by `module:function` or as it is, one by folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import nn

from convatlas.api.show import Input, trace_of
from convatlas.api.target import find_network
from convatlas.catalog import card, list_models
from convatlas.errors import UsageError
from convatlas.files import write_text
from convatlas.report.diagrams import Diagram, diagram

SUFFIX: Final = ".svg"


def draw(
    target: str | Path | nn.Module,
    *inputs: Input,
    depth: int | None = None,
    slide: bool = False,
    out: str | Path | None = None,
    changes: Mapping[str, object] | None = None,
) -> Diagram:
    """Draw what a network is built of, from its own trace: parts, how often each is there, and the shapes between them.

    draw("resnet50", out="resnet50.svg"); draw(my_network, (3, 224, 224)).svg

    target, inputs, changes: as `show` takes them; nothing is computed where the network allows it.
    depth: how deep calls of modules are opened, 0 being the network as one box; by default one block of each kind is
    opened. With a depth the drawing may be wider than a phone. slide: 16:9, from left to right, instead of a column.
    out: a file that ends in .svg; an earlier one is replaced.

    Raises UsageError for what cannot be found or meant, MissingExtra without pygraphviz (`convatlas[atlas]`),
    TraceError for a network that fails on these inputs, SaveError when the file cannot be written.
    """
    if out is not None:
        check_diagram_path("out", Path(out))
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise UsageError(f"depth: expected a whole number of at least 0, got {depth!r}")
    found = find_network(target, changes or {})
    names = card(found.name).part_names if found.name in list_models() and not isinstance(target, nn.Module) else {}
    drawn = diagram(trace_of(found, inputs), title=found.name, part_names=names, depth=depth, slide=slide)
    if out is not None:
        write_text(Path(out), drawn.svg)
    return drawn


def check_diagram_path(field: str, out: Path) -> None:
    """Raise UsageError naming the field unless `out` can be a diagram's file: ends in .svg, and is no folder."""
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"{field}: expected a name that ends in {SUFFIX}, got {out}")
    if out.is_dir():
        raise UsageError(f"{field}: {out} is a folder; name a file in it, such as {out / 'network.svg'}")
