"""What is recorded of a bundle's graphs, as rows of a report."""

from pathlib import Path

from convatlas.engine.bundle import read_bundle
from convatlas.engine.graph_records import Parity, Quantised
from convatlas.engine.run import run_around
from convatlas.report.graph_rows import replace_graph_rows


def graph_facts(parity: Parity | None, quantised: Quantised | None) -> tuple[tuple[str, str], ...]:
    """How near the exported graph comes to the network, and the int8 graph to that; nothing of what is not there."""
    facts = []
    if parity is not None:
        difference = f"largest difference of logits {parity.max_difference:.2g} (allowed {parity.tolerance:.2g})"
        same = f"same answer on {parity.same_top1} of {parity.pictures} pictures ({parity.data})"
        facts.append(("ONNX graph", f"{difference}, {same}"))
    if quantised is not None:
        score = f"{quantised.score_name} {quantised.int8:.2%}, float32 {quantised.float32:.2%}"
        lost = f"{quantised.loss:.2f} points lost (allowed {quantised.most_loss:g})"
        same = f"same answer on {quantised.same_answer} of {quantised.pictures} pictures ({quantised.data})"
        difference = f"largest difference of logits {quantised.max_difference:.2g}"
        facts.append(("int8 graph", f"{score}: {lost}; {difference}, {same}"))
    return tuple(facts)


def tell_report(folder: Path) -> None:
    """Write what a bundle now says of its graphs into the report of the run around it, if there is one.

    Raises SaveError when the report cannot be written; it is then as it was.
    """
    run = run_around(folder)
    if run is not None and run.report.is_file():
        bundle = read_bundle(folder, verify=False)
        replace_graph_rows(run.report, graph_facts(bundle.parity, bundle.quantised))
