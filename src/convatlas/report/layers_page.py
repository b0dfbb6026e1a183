"""The layer table of a network as one HTML page that opens offline."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import convatlas
from convatlas.arithmetic.tables.table import LayerTable
from convatlas.arithmetic.tables.text import RIGHT, cells, told_shapes, totals
from convatlas.files import write_text
from convatlas.report.words import plain


def layers_page(table: LayerTable) -> str:
    """The HTML document; it makes no request of any kind, and names of layers are escaped."""
    environment = Environment(
        loader=PackageLoader("convatlas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    names, rows = cells(table)
    return environment.get_template("layers.html.j2").render(
        table=table,
        input=told_shapes(table.inputs),
        totals=totals(table),
        names=names,
        right=RIGHT,
        rows=rows,
        convatlas_version=convatlas.__version__,
    )


def write_layers_page(path: str | Path, table: LayerTable) -> None:
    """Write `layers_page(table)` to path, as a whole or not at all. Raises SaveError when it cannot be written."""
    write_text(Path(path), layers_page(table))
