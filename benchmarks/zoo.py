"""Every network of the atlas: its year, its size, the best accuracy published of it, and how long one picture takes.

The latency is measured here: the median pass of one picture of noise at the size on the network's card, in evaluation
mode and float32, on all threads of the processor. The zoo is gone through three times, so that a busy minute of the
machine reaches a third of a network's passes at most; each time a pass comes first that is not counted. The weights are
those that the network's file draws, from one seed: the arithmetic is the same whatever they are. Year, parameters and
multiply-accumulates are the card's.

The accuracy is not measured here: it is the highest top-1 that a source on the card prints, with what it was measured
on and how; an error e is shown as the accuracy 100 - e. Protocols differ, in crops, sizes and training pictures, so
that two figures compare only where theirs agree; several crops or larger pictures cost more than the pass timed here.
"""

import os
import statistics
import time
from collections.abc import Iterable
from typing import Any

import torch

from convatlas.catalog import Card, Published, card, list_models
from convatlas.models import create_model

# A round's passes go on until there are MOST of them or SECONDS are over; of the largest networks it is one.
ROUNDS = 3
SECONDS = 0.7
MOST = 7
SEED = 0


def measure(names: Iterable[str] | None = None) -> dict[str, Any]:
    """Time the networks `names` (None: all), one after another, oldest first; each is freed before the next."""
    cards = by_year(card(name) for name in (list_models() if names is None else names))
    before, threads = torch.get_num_threads(), os.cpu_count() or 1
    torch.set_num_threads(threads)
    try:
        passes: dict[str, list[float]] = {each.name: [] for each in cards}
        for _ in range(ROUNDS):
            for each in cards:
                passes[each.name] += _times(each)
    finally:
        torch.set_num_threads(before)
    rows = [{**facts(each), **_latency(passes[each.name])} for each in cards]
    return {"threads": threads, "networks": rows}


def lines(measured: dict[str, Any]) -> list[str]:
    rows = measured["networks"]
    head = (
        f"{len(rows)} networks, oldest first, with the time of one picture (processor threads: {measured['threads']}):"
    )
    return [head, *(_told(row) for row in rows)]


def _told(row: dict[str, Any]) -> str:
    published = f"{told_accuracy(row)} published ({told_source(row)})" if row["published"] else "no accuracy published"
    return (
        f"{row['year']} {row['model']}: {row['parameters']:,} parameters; {row['macs']:,} MACs at "
        f"{told_input(row)}; {published}; {told_latency(row)}"
    )


def told_input(row: dict[str, Any]) -> str:
    """ "3x224x224": channels, height, width."""
    return "x".join(map(str, row["input"]))


def told_accuracy(row: dict[str, Any]) -> str:
    """ "76.13%", or "-" where no source prints one."""
    return f"{row['published']['accuracy']:g}%" if row["published"] else "-"


def told_source(row: dict[str, Any]) -> str:
    """ "ImageNet val, 1-crop 224: torchvision, weights IMAGENET1K_V1", or nothing."""
    best = row["published"]
    return f"{best['on']}, {best['protocol']}: {best['source']}" if best else ""


def told_latency(row: dict[str, Any]) -> str:
    """ "0.52 ms", "1,234 ms", or "-" where it was not measured."""
    if "seconds" not in row:
        return "-"
    milliseconds = row["seconds"] * 1000
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def by_year(cards: Iterable[Card]) -> list[Card]:
    """Oldest first; those of one year by their names."""
    return sorted(cards, key=lambda each: (each.year, each.name))


def facts(network: Card) -> dict[str, Any]:
    """A network's row but for what is measured. `published` is None where no source prints a top-1 figure."""
    figures = [figure for figure in network.published if figure.measure in ("accuracy", "error")]
    best = max(figures, key=_accuracy, default=None)
    return {
        "model": network.name,
        "family": network.family,
        "year": network.year,
        "parameters": network.params,
        "macs": network.macs,
        "input": list(network.input),
        "published": best
        and {"accuracy": _accuracy(best), "on": best.on, "protocol": best.protocol, "source": best.source},
    }


def _accuracy(figure: Published) -> float:
    """In percent; the rounding takes away what the subtraction adds: 100 - 24.7 is 75.3."""
    return figure.value if figure.measure == "accuracy" else round(100 - figure.value, 6)


def _times(network: Card) -> list[float]:
    """Seconds of each pass of one round."""
    torch.manual_seed(SEED)
    model = create_model(network.name).eval()
    picture = torch.rand(1, *network.input)
    times: list[float] = []
    with torch.inference_mode():
        model(picture)
        while not times or (len(times) < MOST and sum(times) < SECONDS):
            started = time.perf_counter()
            model(picture)
            times.append(time.perf_counter() - started)
    return times


def _latency(times: list[float]) -> dict[str, Any]:
    return {"seconds": round(statistics.median(times), 6), "passes": len(times)}
