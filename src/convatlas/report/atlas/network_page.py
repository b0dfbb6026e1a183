"""The page of a network, and the page of the file that defines it."""

from collections.abc import Sequence

from markupsafe import Markup

from convatlas.report.atlas.highlight import highlighted
from convatlas.report.atlas.network import NetworkEntry, SourceFile, layers_of
from convatlas.report.atlas.rendering import render
from convatlas.report.atlas.site import Site, accuracy, on_imagenet


def network_page(site: Site, entry: NetworkEntry) -> str:
    """networks/NAME.html."""
    card, layers, figure = entry.card, layers_of(entry.table), on_imagenet(entry.card)
    overview_words = f"{len(layers.overview.rows)} rows"
    if layers.layers > len(layers.overview.rows):
        overview_words = f"{len(layers.overview.rows)} rows, which hold {layers.layers:,} layers"
    detail_words = f"All {layers.layers:,} layers"
    if layers.detail is not None and not layers.complete:
        detail_words = f"Finer: {len(layers.detail.rows):,} rows of {layers.layers:,} layers"
    return render(
        site,
        "network",
        f"networks/{card.name}.html",
        card.name,
        f"{card.name}: {card.summary}".replace("`", ""),
        card=card,
        entry=entry,
        figure=figure,
        accuracy=None if figure is None else accuracy(figure),
        children=site.children(card.name),
        relatives=site.relatives(card),
        concepts=site.concepts_of(card.name),
        picture=Markup(entry.diagram),
        layers=layers,
        notes=entry.table.notes,
        overview_words=overview_words,
        detail_words=detail_words,
        sizes=_sizes(entry),
        python=highlighted(_python(entry), "python"),
        shell=highlighted(_shell(entry), "bash"),
        blocks=_code(entry.blocks),
        terms=list(dict.fromkeys(words for each in entry.weights for words in each.terms)),
        sections=(
            ("paper", "Paper"),
            ("diagram", "Diagram"),
            ("layers", "Layers"),
            ("figures", "Published and ours"),
            ("use", "Load it, train it"),
            ("code", "Code"),
        ),
    )


def _sizes(entry: NetworkEntry) -> list[tuple[str, str, str, str]]:
    """(what, published, ours, where the first comes from)."""
    card, ours = entry.card, entry.table.totals
    rows = [
        ("parameters", f"{card.params:,}", f"{ours.trainable:,}", card.params_source),
        ("MACs", f"{card.macs:,}", f"{ours.macs:,}", card.macs_source),
    ]
    if card.connections is not None:
        rows.append(("connections", f"{card.connections:,}", f"{ours.connections:,}", "as the paper counts them"))
    return rows


def _python(entry: NetworkEntry) -> str:
    name = entry.card.name
    loaded = f'convatlas.create_model("{name}")'
    if any(each.default for each in entry.weights):
        loaded += f'\nready = convatlas.create_model("{name}", weights="default", num_classes=7)'
    return f"""import convatlas

network = {loaded}
print(convatlas.show(network, {entry.card.input}))
run = convatlas.train("photos", model="{name}", out="runs/{name}")
print(convatlas.Predictor(run.path)("cat.jpg")[0].top.label)
"""


def _shell(entry: NetworkEntry) -> str:
    name = entry.card.name
    lines = [
        f"convatlas show {name}",
        f"convatlas draw {name} --out {name}.svg",
        f"convatlas train photos --model {name} --out runs/{name}",
        f"convatlas predict runs/{name} cat.jpg",
    ]
    if any(each.default for each in entry.weights):
        lines.append(f"convatlas predict {name} cat.jpg  # with the published weights")
    return "\n".join(lines) + "\n"


def _code(text: str) -> Markup:
    return highlighted(text, "python")


def code_page(site: Site, source: SourceFile, networks: Sequence[str]) -> str:
    """code/MODULE.html."""
    return render(
        site,
        "code",
        f"code/{source.module}.html",
        f"{source.module}.py",
        f"The source text of {source.path}",
        source=source,
        lines=source.text.count("\n"),
        networks=networks,
        code=_code(source.text),
    )
