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
from tests.arithmetic.scratch.checking import close, finite_differences

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
    # With stride 2 the spread gradient finds one place more along each axis than the kernel has taps.
    places = convolve(x, g, padding=1, dilation=2)
    assert places.shape[2:] == (4, 4)
    assert (places[:, :, :3, :3] == shown["dL/dw, stride 2, padding 1"]).all()


# --- The equations, read as they stand on the page, against the loss itself moved up and down


def equations() -> str:
    """The page, its minus signs as hyphens."""
    return (DOCS / "backpropagation.md").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")


@pytest.mark.row("A-08")
def test_the_equations_of_the_example_are_what_finite_differences_find() -> None:
    page = equations()
    shown = {name: values.astype(float) for name, values in matrices("backpropagation.md").items()}
    x, w, t = (shown[name] for name in ("x", "w", "t"))
    taps, outputs, pixels = (list(np.ndindex(*array.shape)) for array in (w, t, x))

    def plus(p: tuple[int, ...], a: tuple[int, ...]) -> tuple[int, int]:
        return p[0] + a[0], p[1] + a[1]

    def forward(x: np.ndarray, w: np.ndarray, b: float) -> np.ndarray:
        assert "> y[p] = b + Σₐ x[p + a] · w[a]\n" in page
        return np.array([b + sum(x[plus(p, a)] * w[a] for a in taps) for p in outputs]).reshape(t.shape)

    def loss(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
        assert "L = ½ Σ (y - t)²" in page
        return 0.5 * float(((forward(x, w, float(b)) - t) ** 2).sum())

    assert "dL/dy = y - t" in page
    g = forward(x, w, 1) - t
    close(g, finite_differences(lambda y: 0.5 * float(((y - t) ** 2).sum()), forward(x, w, 1)), 1e-6)

    by_differences = {
        "w": finite_differences(lambda v: loss(x, v, np.array(1.0)), w),
        "b": finite_differences(lambda v: loss(x, w, v), np.array(1.0)),
        "x": finite_differences(lambda v: loss(v, w, np.array(1.0)), x),
    }
    assert "> dL/dw[a] = Σₚ g[p] · x[p + a]\n" in page
    close([sum(g[p] * x[plus(p, a)] for p in outputs) for a in taps], by_differences["w"].ravel(), 1e-6)
    assert "its gradient is the sum of `g`" in page
    close(g.sum(), by_differences["b"], 1e-6)
    assert "> dL/dx[i] = Σₚ g[p] · w[i - p]\n" in page
    tap_of = {(i, p): (i[0] - p[0], i[1] - p[1]) for i in pixels for p in outputs}
    found = [sum(g[p] * w[tap_of[i, p]] for p in outputs if tap_of[i, p] in taps) for i in pixels]
    close(found, by_differences["x"].ravel(), 1e-6)
    assert "y = T x + b" in page
    close(shown["T"] @ x.ravel() + 1, forward(x, w, 1).ravel())
    assert "dL/dx = Tᵀ g" in page
    close(shown["T"].T @ g.ravel(), by_differences["x"].ravel(), 1e-6)
    assert "dL/dw = columns · g" in page
    close(shown["columns"] @ g.ravel(), by_differences["w"].ravel(), 1e-6)


@pytest.mark.row("A-08")
@pytest.mark.parametrize(
    ("stride", "dilation", "padding", "taps", "size"),
    [
        (1, 1, 0, 3, 6),
        (2, 1, 1, 3, 6),
        (3, 1, 2, 2, 7),
        (1, 2, 1, 3, 7),
        (2, 3, 2, 2, 8),
        (3, 2, 4, 3, 9),
        (2, 1, 3, 2, 4),
    ],
)
def test_the_equations_with_stride_padding_and_dilation_are_what_finite_differences_find(
    stride: int, dilation: int, padding: int, taps: int, size: int
) -> None:
    page = equations()
    random = np.random.default_rng(0)
    x, w, b = random.normal(size=size), random.normal(size=taps), np.array(0.5)
    places = (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
    g = random.normal(size=places)

    def at(x: np.ndarray, p: int, a: int) -> float:
        pixel = stride * p + dilation * a - padding
        return float(x[pixel]) if 0 <= pixel < size else 0.0

    def loss(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
        """Any loss whose gradient with respect to y is g."""
        assert "> y[p] = b + Σₐ x[s·p + d·a - pad] · w[a]\n" in page
        y = [float(b) + sum(at(x, p, a) * w[a] for a in range(taps)) for p in range(places)]
        return float(np.dot(g, y))

    assert "> dL/dw[a] = Σₚ g[p] · x[s·p + d·a - pad]\n" in page
    d_w = [sum(g[p] * at(x, p, a) for p in range(places)) for a in range(taps)]
    close(d_w, finite_differences(lambda v: loss(x, v, b), w), 1e-6)
    assert "> dL/dx[i] = Σ g[p] · w[a] over all p and a with s·p + d·a - pad = i\n" in page
    pairs = [(p, a) for p in range(places) for a in range(taps)]
    d_x = [sum(g[p] * w[a] for p, a in pairs if stride * p + dilation * a - padding == i) for i in range(size)]
    close(d_x, finite_differences(lambda v: loss(v, w, b), x), 1e-6)
    # The rows of the table: each gradient as the convolution that they describe.
    spread_g = spread([[g]], stride)[0, 0]
    padded = np.pad(x, padding)
    weights = convolve([[padded]], [[g]], dilation=stride, stride=dilation)[0, 0]
    close(weights[:taps], d_w)
    room = size + 2 * padding - dilation * (taps - 1)
    full = convolve(
        [[np.pad(spread_g, (0, room - len(spread_g)))]], [[w[::-1]]], dilation=dilation, padding=dilation * (taps - 1)
    )
    close(full[0, 0, padding : padding + size], d_x)


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
    page = (DOCS / "first-principles.md").read_text(encoding="utf-8")
    assert f"3·3·32 = {filters.depthwise_parameters(32)} weights" in page
    assert f"3·3·32·32 = {3 * 3 * 32 * 32:,}" in page
    assert "(pictures/filters.jpg)" in page


@pytest.mark.row("A-08")
def test_the_page_leads_to_every_file_of_the_room() -> None:
    page = (DOCS / "first-principles.md").read_text(encoding="utf-8")
    room = DOCS.parent / "src" / "convatlas" / "arithmetic" / "scratch"
    files = {path.name for path in room.glob("*.py")} - {"__init__.py", "checks.py"}
    assert files == set(re.findall(r"scratch/(\w+\.py)\)", page))
