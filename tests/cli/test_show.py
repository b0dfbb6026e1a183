"""`convatlas show`: what is printed for each kind of target and each form, and every way to name it wrongly."""

import csv
import io
import json
import re
import statistics
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import show as benchmark
from benchmarks.__main__ import RESULTS

import convatlas
from convatlas.api.show import parse_input
from convatlas.arithmetic.tracing.trace import TraceError
from convatlas.catalog import card
from convatlas.cli import main
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import Bundle, write_bundle
from convatlas.errors import UsageError
from convatlas.models import create_model
from tests.cli.terminal import fake_terminal

pytestmark = pytest.mark.row("A-10")

NETWORKS = """
import torch
from torch import nn

ready = nn.Linear(4, 2)
number = 3


class Exits(nn.Module):
    def forward(self, x):
        raise SystemExit(4)


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def stops():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7, 2))


def deep():
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()), nn.Linear(7, 2))


class Looks(nn.Module):
    def forward(self, x):
        return x.relu() if x.mean() > -1 else x


def wants(width):
    return nn.Linear(width, 2)


def words():
    return "a network"
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """`convatlas show …` -> exit code, stdout, stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["show", *map(str, arguments)])
    code = ended.value.code
    out, err = capsys.readouterr()
    return code if isinstance(code, int) else 0, out, err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a module of networks."""
    name = f"networks_{tmp_path.name}".replace("-", "_")  # imported once in a process: each test has its own
    (tmp_path / f"{name}.py").write_text(NETWORKS, encoding="utf-8")
    (tmp_path / "broken_networks.py").write_text("import not_to_be_had_anywhere", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Path(name)


def test_a_network_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "vgg16")
    assert (code, err) == (0, "")
    assert "9·64·128 + 128 = 73,856" in out
    lines = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    assert lines[0] == ["layer", "operation", "output", "parameters", "MACs", "connections", "memory", "sees", "jump"]
    assert ["parameters", "138,357,544"] in lines
    assert ["MACs", "15,470,264,320"] in lines


def test_changed_fields_and_folding(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "vgg16", "--depth", "1", "--set", "num_classes=7", "--set", "model.in_channels=1")
    assert [line.split()[0] for line in out.splitlines()[1:7]] == [*(f"stages.{index}" for index in range(5)), "head"]
    assert f"{convatlas.show('vgg16', changes={'num_classes': 7, 'in_channels': 1}).totals.parameters:,}" in out


def test_the_forms_for_machines_agree(capsys: pytest.CaptureFixture[str]) -> None:
    _, as_json, _ = run(capsys, "resnet18", "--json", "--input", "3x64x64")
    _, as_csv, _ = run(capsys, "resnet18", "--csv", "--input", "3x64x64")
    _, markdown, _ = run(capsys, "resnet18", "--markdown", "--input", "3x64x64")
    values = json.loads(as_json)
    records = list(csv.DictReader(io.StringIO(as_csv)))
    assert values["inputs"] == [[1, 3, 64, 64]]
    assert [row["layer"] for row in values["rows"]] == [record["layer"] for record in records]
    assert sum(int(record["macs"]) for record in records) == values["totals"]["macs"]
    assert values["totals"]["parameters"] == card("resnet18").params
    assert markdown.count("\n| ") == len(records) + 1
    assert run(capsys, "resnet18", "--json", "--csv")[0] == 2


class Page(HTMLParser):
    """Which tags a page has, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_opens_offline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "lenet5", "--html", tmp_path / "layers.html")
    assert (code, out) == (0, "")
    assert "layers.html" in err
    text = (tmp_path / "layers.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.tags.count("table") == page.tags.count("caption") == 1
    assert page.tags.count("tr") == 1 + len(convatlas.show("lenet5").rows)
    assert 'lang="en"' in text
    assert 'scope="col"' in text
    assert 'scope="row"' in text
    assert all(target.startswith(("data:", "#")) for target in page.loads)
    assert "340,908" in text


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_it_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = fake_terminal(monkeypatch, "stdout", columns)
    notes = fake_terminal(monkeypatch, "stderr", columns)
    with pytest.raises(SystemExit):
        main(["show", "resnet18"])
    lines = re.sub(r"\x1b\[\d*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    assert ("not shown" in notes.getvalue()) == (columns < 150)
    if columns >= 120:
        assert sum("9·64·64 = 36,864" in line for line in lines) == 4  # in one line


# --- Whose network


def test_a_function_of_a_module_in_the_current_folder(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    before = list(sys.path)
    code, out, _ = run(capsys, f"{here}:small", "--input", "3x8x8")
    assert code == 0
    assert "144·2 + 2 = 290" in out
    assert run(capsys, f"{here}:ready", "--input", "4")[0] == 0
    assert sys.path == before


def test_a_network_that_has_to_run_for_real_says_so(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    code, _, err = run(capsys, f"{here}:Looks", "--input", "3x8x8")
    assert code == 0
    assert "note: run for real on the processor" in err
    for form in ("--json", "--markdown"):
        _, out, err = run(capsys, f"{here}:Looks", "--input", "3x8x8", form)
        assert "run for real on the processor" in out
        assert "note: run for real on the processor" in err
    code, out, err = run(capsys, f"{here}:Looks", "--input", "3x8x8", "--html", here.with_suffix(".html"))
    assert (code, out) == (0, "")
    assert "note: run for real on the processor" in err
    assert "run for real on the processor" in here.with_suffix(".html").read_text(encoding="utf-8")


def test_a_network_that_stops_shows_its_table_until_then(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    code, out, err = run(capsys, f"{here}:stops", "--input", "3x8x8")
    assert code == 1
    assert "Linear (stopped here, got 1x144)" in out
    assert "9·3·4 + 4 = 112" in out
    assert "Sequential stopped in 3 (Linear), which got 1x144" in err
    assert "Traceback" not in err
    code, out, _ = run(capsys, f"{here}:stops", "--input", "3x8x8", "--json")
    assert code == 1
    assert "stopped in 3 (Linear)" in json.loads(out)["stopped"]


def test_a_network_that_wants_to_end_the_program_does_not(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    code, _, err = run(capsys, f"{here}:Exits", "--input", "3x8x8")
    assert code == 1
    assert "it called sys.exit(4)" in err


def test_a_network_that_stops_is_folded_and_written_as_any_other(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    wanted = (f"{here}:deep", "--input", "3x8x8", "--depth", "1")
    code, out, _ = run(capsys, *wanted)
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["0", "Sequential"], ["1", "Linear"]]
    page = here.with_suffix(".html")
    code, out, err = run(capsys, *wanted, "--html", page)
    assert (code, out) == (1, "")
    assert "written: " in err
    assert "Sequential stopped in 1 (Linear)" in err
    text = page.read_text(encoding="utf-8")
    assert "Sequential stopped in 1 (Linear)" in text
    assert "Sequential (3 rows)" in text


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("HERE:smal", 'has no smal. Did you mean "small"?'),
        ("HERE:number", "is int, not a function"),
        ("HERE:words", "gives str, not a torch.nn.Module"),
        ("HERE:wants", "calling it without arguments failed: TypeError"),
        ("HERE:small", "what does it take? Give the shape of one picture, channels first: --input 3x224x224"),
        ("HERE:", "expected module:function"),
        ("no_such_module:small", "there is no module no_such_module"),
        ("broken_networks:small", "broken_networks imports not_to_be_had_anywhere, which is not installed"),
        ("vgg61", 'Did you mean "vgg19"'),
        ("C:\\runs\\digits", "C:\\runs\\digits: no such folder"),
        ("runs/12:30", "12:30: no such folder"),
    ],
)
def test_what_cannot_be_found_is_said_in_words(
    target: str, message: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    code, out, err = run(capsys, target.replace("HERE", str(here)))
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg16", "--input", "3x16x16"], "at least 32x32"),
        (["vgg16", "--input", "3x0x16"], "input 3x0x16: expected a shape"),
        (["vgg16", "--input", "224"], "VGG expects images"),
        (["vgg16", "--input", "3x64x64:colour"], "expected one of float32"),
        (["vgg16", "--set", "depth=3"], "has no option 'depth'"),
        (["vgg16", "--set", "depth"], "expected model.field=value"),
        (["torch.nn:Identity", "--input", "3", "--set", "width=2"], "only a network of the atlas"),
        (["vgg16", "--input", "3x64x64", "--input", "3x64x64"], "vgg16: too many positional arguments"),
        (["vgg16", "--html", "."], "--html .: expected a file to write"),
        (["convatlas.no_such:Thing", "--input", "3"], "there is no module convatlas.no_such"),
    ],
)
def test_impossible_wishes_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_bundle(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = trained(tmp_path / "bundle")
    code, out, _ = run(capsys, folder)
    assert code == 0
    assert f"{convatlas.show('lenet5_modern', changes={'num_classes': 3}).totals.parameters:,}" in out
    (tmp_path / "empty").mkdir()
    assert "holds no bundle" in run(capsys, tmp_path / "empty")[2]


def trained(folder: Path, seed: int = 0) -> Path:
    """A bundle of three classes with random weights."""
    torch.manual_seed(seed)
    network = create_model("lenet5_modern", num_classes=3)
    tensors = {name: np.asarray(tensor.numpy()) for name, tensor in network.state_dict().items()}
    bundle = Bundle(
        task="classify",
        model="lenet5_modern",
        changes={"num_classes": 3},
        classes=("blue", "green", "red"),
        preprocess=Preprocess(channels=1, height=32, width=32, fit="stretch"),
        mean=(0.5,),
        std=(0.25,),
        metrics={"test": {"top-1 accuracy": 0.25 + seed / 100, "pictures": 4}},
    )
    write_bundle(folder, bundle, tensors)
    return folder


# --- In Python


def test_the_function_takes_networks_shapes_and_tensors() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    tables = [convatlas.show(network, given) for given in ((3, 8, 8), "3x8x8", torch.zeros(1, 3, 8, 8))]
    assert len({str(table) for table in tables}) == 1
    assert "9·3·4 + 4 = 112" in str(tables[0])
    embedding = convatlas.show(torch.nn.Embedding(10, 4), "7:int64")
    assert embedding.rows[0].outputs == ((1, 7, 4),)
    with pytest.raises(UsageError, match="what does it take"):
        convatlas.show(network)
    with pytest.raises(UsageError, match="whole numbers of at least 1"):
        convatlas.show(network, (3, 0, 8))
    with pytest.raises(UsageError, match="depth"):
        convatlas.show(network, (3, 8, 8), depth=-1)
    with pytest.raises(TraceError, match="Conv2d"):
        convatlas.show(network, (4, 8, 8))


def test_shapes_as_typed() -> None:
    assert parse_input("3x224x224") == ((3, 224, 224), None)
    assert parse_input(" 77:INT64 ") == ((77,), "int64")
    for wrong in ("", "3x", "axb", "-3x4", "3,224,224", "3x224:", "³x4"):
        with pytest.raises(UsageError, match="input"):
            parse_input(wrong)


# --- Start-up


def test_shapes_need_no_torchvision_and_no_compiler(tmp_path: Path) -> None:
    code = (
        "import sys; from convatlas.cli import main\n"
        "try: main(['show', 'vgg16'])\n"
        "except SystemExit: pass\n"
        "slow = {'torchvision', 'sympy', 'torch._dynamo', 'matplotlib', 'accelerate', 'jinja2'}\n"
        "print('LOADED', sorted(slow & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.splitlines()[-1] == "LOADED []"


def test_what_was_measured_is_hardly_longer_than_importing_torch() -> None:
    """The record that `python -m benchmarks show` renews: at most 2 x importing torch, and 2 s beyond it."""
    measured = json.loads((RESULTS / "show.json").read_text(encoding="utf-8"))
    assert len(measured["vgg16_over_import"]) == len(measured["nasnet_beyond_import"]) == benchmark.ROUNDS
    assert statistics.median(measured["vgg16_over_import"]) <= 2
    assert statistics.median(measured["nasnet_beyond_import"]) <= 2
