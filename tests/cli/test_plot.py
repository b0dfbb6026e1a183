"""`convatlas plot`: files, tables and JSON; the same bytes whatever the process, hash seed and matplotlibrc."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

import convatlas
from convatlas.cli import main
from convatlas.errors import UsageError
from convatlas.report.charts.kinds import KINDS

pytestmark = pytest.mark.row("I-01", "I-02", "I-03", "I-05", "F-07")

SVG = "{http://www.w3.org/2000/svg}"
# As hostile as a user's own settings may be.
MATPLOTLIBRC = """\
font.size: 31
font.family: monospace
axes.facecolor: red
axes.grid: False
axes.prop_cycle: cycler('color', ['lime'])
lines.marker: P
savefig.bbox: tight
savefig.dpi: 33
figure.dpi: 300
figure.facecolor: yellow
svg.fonttype: path
svg.hashsalt: other
text.color: red
xtick.labelsize: 40
axes.unicode_minus: False
patch.linewidth: 9
path.sketch: 4, 100, 2
"""


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["plot", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_a_table_and_words(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = ("--depth", "4", "--width", "32") if kind == "initialisation" else ()
    out = tmp_path / "new" / "chart.SVG"
    assert run(kind, "--out", out, *small) == 0
    told, err = capsys.readouterr()
    assert err == f"written: {out}\n"
    assert len(told.splitlines()) > 10
    root = ElementTree.parse(out).getroot()
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and title.text
    assert description is not None and len(description.text or "") > 200
    text = out.read_text(encoding="utf-8")
    variables = set(re.findall(r"var\((--\w+)\)", text))
    assert {"--ink", "--muted", "--page"} <= variables
    for variable in variables:
        assert text.count(f"{variable}: #") == 2  # light and dark
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("kind", KINDS)
def test_json_is_the_data_and_the_only_thing_on_stdout(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"depth": 3, "width": 16} if kind == "initialisation" else {}
    assert run(kind, "--json", *(part for name, value in small.items() for part in (f"--{name}", str(value)))) == 0
    out, err = capsys.readouterr()
    assert err == f"written: {kind}.svg\n"
    assert (tmp_path / f"{kind}.svg").stat().st_size > 5000
    read = json.loads(out)
    assert read["kind"] == kind
    assert read == json.loads(json.dumps(convatlas.plot_data(kind, **small).to_dict()))


def test_the_json_says_the_source_of_each_figure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("efficiency", "--json", "--out", tmp_path / "e.svg") == 0
    read = json.loads(capsys.readouterr().out)
    assert "one view before several" in read["rule"]
    assert "torch" in read["measured_on"]
    assert all(point["source"] and point["protocol"] for point in read["points"])


@pytest.mark.parametrize("kind", ["timeline", "family-tree", "detection"])
def test_the_png_is_whole_and_carries_the_words(kind: str, tmp_path: Path) -> None:
    assert convatlas.plot(kind, out=tmp_path / "chart.png") == convatlas.plot_data(kind)
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.width > 1000
        assert len(picture.info["Description"]) > 200
        pixels = picture.convert("RGB")
        edges = [pixels.crop((0, 0, picture.width, 8)), pixels.crop((0, picture.height - 8, *picture.size))]
        edges += [pixels.crop((0, 0, 8, picture.height)), pixels.crop((picture.width - 8, 0, *picture.size))]
        assert all(edge.getcolors() == [(edge.width * edge.height, (255, 255, 255))] for edge in edges)
        assert len(pixels.getcolors(1 << 24) or ()) > 20


DRAW = """
import sys
from convatlas.api.plot import plot
for name in sys.argv[2:]:
    plot(name.split(".")[0], out=f"{sys.argv[1]}/{name}")
"""


def drawn_elsewhere(folder: Path, hash_seed: str, matplotlibrc: str) -> dict[str, bytes]:
    folder.mkdir()
    (folder / "matplotlibrc").write_text(matplotlibrc, encoding="utf-8")
    names = ["timeline.svg", "efficiency.svg", "family-tree.svg", "detection.svg", "timeline.png"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "MATPLOTLIBRC": str(folder), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", DRAW, str(folder), *names], check=True, env=environment, timeout=120)
    return {name: (folder / name).read_bytes() for name in names}


def test_the_bytes_are_the_same_in_another_process_with_a_hostile_matplotlibrc(tmp_path: Path) -> None:
    plain = drawn_elsewhere(tmp_path / "one", "1", "")
    hostile = drawn_elsewhere(tmp_path / "two", "7", MATPLOTLIBRC)
    assert [name for name in plain if plain[name] != hostile[name]] == []


def test_graphviz_looks_for_no_fonts(tmp_path: Path) -> None:
    """Its library would complain of a machine's fonts on stderr, past Python; the names are measured and drawn here."""
    code = "import sys, convatlas; convatlas.plot('family-tree', out=sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "tree.svg")],
        check=True,
        env={**os.environ, "FONTCONFIG_FILE": str(tmp_path / "none.conf")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Fontconfig" not in ran.stderr


def test_initialisation_is_measured_and_drawn_alike_each_time(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("a.svg", "b.svg", "c.svg"))
    for out, seed in ((one, 2), (two, 2), (other, 3)):
        convatlas.plot("initialisation", out=out, depth=5, width=32, seed=seed)
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("timelines",), 'no chart is named "timelines". Did you mean "timeline"?'),
        (("family_tree",), 'Did you mean "family-tree"?'),
        (("timeline", "--out", "chart.pdf"), "--out: expected a name that ends in .svg or .png, got chart.pdf"),
        (("timeline", "--seed", "3"), "seed: only the chart of initialisation is measured"),
        (("initialisation", "--depth", "0"), "depth: expected 1 to 200, got 0"),
        (("initialisation", "--width", "99999"), "width: expected 8 to 1024, got 99999"),
    ],
)
def test_wrong_use_is_told_in_one_line_and_writes_nothing(
    arguments: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and words in err
    assert list(tmp_path.iterdir()) == []


def test_the_function_tells_wrong_use_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="out: expected a name that ends in"):
        convatlas.plot("timeline", out=tmp_path / "chart.gif")
    with pytest.raises(UsageError, match="depth: only the chart of initialisation"):
        convatlas.plot_data("detection", depth=3)


def test_no_torch_is_imported() -> None:
    code = "import sys, convatlas; convatlas.plot_data('efficiency'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
