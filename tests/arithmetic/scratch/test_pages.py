"""The pages for students: every matrix and every sum on them is recomputed."""

import re
from pathlib import Path

import numpy as np
import pytest

from convatlas.arithmetic.scratch import filters
from convatlas.arithmetic.scratch.convolution import convolve, flip
from convatlas.arithmetic.scratch.gradients import input_gradient, spread, weight_gradient
from convatlas.arithmetic.scratch.im2col import convolve_backward, im2col
from convatlas.arithmetic.scratch.toeplitz import toeplitz_matrix
from convatlas.arithmetic.scratch.window import window

DOCS = Path(__file__).resolve().parents[3] / "docs"


def matrices(page: str) -> dict[str, np.ndarray]:
    """Name -> the rows of whole numbers under "name =", in the page's code blocks."""
    found: dict[str, list[list[int]]] = {}
    for block in re.findall(r"^```\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        rows: list[list[int]] = []
        for line in block.splitlines():
            if line.endswith(" ="):
                assert line not in found
                rows = found.setdefault(line, [])
            elif re.fullmatch(r"[\s\d-]+", line):
                rows.append([int(number) for number in line.split()])
    return {name.removesuffix(" ="): np.array(rows) for name, rows in found.items()}


@pytest.mark.row("A-08")
def test_backpropagation_by_hand() -> None:
    shown = matrices("backpropagation.md")
    x, w, t = (shown[name][None, None].astype(float) for name in ("x", "w", "t"))
    y = convolve(x, w, [1])
    g = y - t
    gradients = convolve_backward(g, x, w)
    padded = np.pad(g, [(0, 0), (0, 0), (2, 2), (2, 2)])
    wanted = {
        "x": x,
        "w": w,
        "t": t,
        "y": y,
        "g = dL/dy": g,
        "dL/dw": weight_gradient(g, x, (3, 3)),
        "flipped w": flip(w),
        "padded g": padded,
        "dL/dx": input_gradient(g, w, (4, 4)),
        "T": toeplitz_matrix(w, (4, 4)),
        "columns": im2col(x, window((3, 3))),
        "y, stride 2, padding 1": convolve(x, w, [1], stride=2, padding=1),
        "dL/dw, stride 2, padding 1": weight_gradient(g, x, (3, 3), stride=2, padding=1),
        "g with zeros between": spread(g, 2, (4, 4)),
        "dL/dx, stride 2, padding 1": input_gradient(g, w, (4, 4), stride=2, padding=1),
    }
    assert set(shown) == set(wanted)
    for name, values in wanted.items():
        assert shown[name].tolist() == values.reshape(shown[name].shape).tolist(), name
    # The two routes of the page: a kernel of gradients over x, and the flipped kernel over the padded gradient.
    assert (convolve(x, g) == gradients.weight).all()
    assert (convolve(padded, flip(w)) == gradients.x).all()
    assert (shown["T"].T @ g.reshape(-1) == gradients.x.reshape(-1)).all()
    assert (shown["columns"] @ g.reshape(-1) == gradients.weight.reshape(-1)).all()


@pytest.mark.row("A-08")
def test_every_sum_that_is_written_out_is_right() -> None:
    text = (DOCS / "backpropagation.md").read_text(encoding="utf-8")
    shown = matrices("backpropagation.md")
    sums = re.findall(r"^(\S+?)(?:\[(\d),(\d)\])? = ([-\d*+() ]+) = (-?\d+)$", text, re.MULTILINE)
    assert len(sums) == 5
    for name, row, column, terms, result in sums:
        total = sum(np.prod([int(n.strip("() ")) for n in term.split("*")]) for term in terms.split(" + "))
        assert total == int(result), terms
        if row:
            assert shown[name][int(row), int(column)] == total
    assert shown["g = dL/dy"].sum() == 5


@pytest.mark.row("A-08")
def test_the_losses_that_the_page_names() -> None:
    shown = matrices("backpropagation.md")
    x, w, t = (shown[name][None, None].astype(float) for name in ("x", "w", "t"))

    def loss(w: np.ndarray, bias: float) -> float:
        return 0.5 * float(((convolve(x, w, [bias]) - t) ** 2).sum())

    text = (DOCS / "backpropagation.md").read_text(encoding="utf-8")
    raised, lowered = w.copy(), w - 0.01 * shown["dL/dw"]
    raised[0, 0, 0, 0] += 0.001
    for number in (loss(w, 1), round(loss(raised, 1), 6), round(loss(lowered, 1 - 0.01 * 5), 5)):
        assert f"{number:g}" in text or f"{number:.6f}" in text, number
    assert round((loss(raised, 1) - loss(w, 1)) / 0.001, 3) == 8.003


@pytest.mark.row("A-11")
def test_the_examples_of_filters() -> None:
    shown, edge, bias = matrices("first-principles.md"), filters.edge_example(), filters.bias_example()
    wanted = {
        "picture": edge.picture,
        "kernel": edge.kernel,
        "response": edge.response,
        "picture, 5 x 5": bias.picture,
        "response, 5 x 5": bias.response,
        "ReLU(response - 500)": bias.activated,
    }
    assert {name: values.tolist() for name, values in shown.items()} == {n: v.tolist() for n, v in wanted.items()}


@pytest.mark.row("A-08")
def test_the_page_leads_to_every_file_of_the_room() -> None:
    page = (DOCS / "first-principles.md").read_text(encoding="utf-8")
    room = DOCS.parent / "src" / "convatlas" / "arithmetic" / "scratch"
    files = {path.name for path in room.glob("*.py")} - {"__init__.py", "checks.py"}
    assert files == set(re.findall(r"scratch/(\w+\.py)\)", page))
