"""The measurements of the performance promise: their figures from given numbers, the command line, the pages."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import gpu, int8, start_up, warm, warm_engines
from benchmarks.competitor import Competitor
from benchmarks.figure import Figure
from torch import nn

ROOT = Path(__file__).parents[1]


def row(model: str, auto: list[float], bare: list[float], eager: list[float]) -> dict[str, Any]:
    """A network whose OpenVINO is slow; a billion MACs, and a machine of 1,000 GFLOP/s at its best."""
    slow = [1.0] * len(auto)
    seconds = {"auto": auto, "onnx": [0.011] * len(auto), "openvino": slow, "torch": slow}
    return {
        "model": model,
        "batch": 1,
        "macs": 1_000_000_000,
        "engine": "openvino",
        "differences": {},
        "seconds": {**seconds, "torchvision": eager, "ONNX Runtime": bare, "OpenVINO": slow},
        "matrix_gigaflops": [1000.0, 900.0],
    }


def measured(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"threads": 2, "full": False, "notes": ["a note"], "rows": list(rows)}


@pytest.mark.row("J-01")
def test_warm_figures_that_are_met():
    one = row("resnet50", [0.010, 0.010, 0.010], [0.0097, 0.0098, 0.0110], [0.020, 0.020, 0.040])
    two = row("vgg16", [0.010, 0.010, 0.010], [0.010] * 3, [0.080] * 3)
    first, second, mean = warm.figures(measured(one, two))
    assert first.what == "ResNet-50, one picture, against the best bare engine (ONNX Runtime)"
    # 2 GFLOP in 10 ms are 200 GFLOP/s, of 1,000.
    assert first.measured == "0.980 (0.970 to 1.100) times as fast; 20% of the rate of matrix products"
    assert first.met and second.met
    assert mean.measured == "4.00 times as fast (network by network 2.00 to 8.00)"  # not (2 + 8) / 2
    assert mean.met
    assert mean.goal == "at least 2, reach for 2.5"


@pytest.mark.row("J-01")
def test_warm_figures_that_are_missed_say_why():
    missed, mean = warm.figures(measured(row("vgg16", [0.020] * 3, [0.019, 0.0193, 0.0193], [0.03] * 3)))
    assert not missed.met
    assert missed.measured.startswith("0.965 (0.950 to 0.965) times as fast")
    assert "ONNX Runtime alone takes 19.3 ms for floats that are normalised already" in missed.why
    assert "ours 20 ms for uint8 pixels on openvino, where onnx takes 11 ms" in missed.why
    assert not mean.met
    assert mean.why == "VGG-16 gains least, 1.50, at 10% of the rate of matrix products"


def test_larger_batches_are_told_and_are_no_figures():
    several = {**row("vgg16", [0.01], [0.01], [0.03]), "batch": 8}
    given = measured(row("vgg16", [0.01], [0.01], [0.03]), several)
    assert len(warm.figures(given)) == 2
    one, eight, note = warm.lines(given)
    assert one.startswith("VGG-16, one picture: auto (openvino) 10 ms; onnx 11 ms, ")
    assert eight.startswith("VGG-16, 8 pictures: auto")
    assert note == "a note"
    assert warm.share(several) == pytest.approx(8 * warm.share(row("vgg16", [0.01], [0.01], [0.03])))


def test_other_answers_are_not_timed():
    right = {"engine": "", "logits": [[1.0, -2.0]]}
    apart = {"engine": "", "logits": [[1.0, -2.0005]]}
    assert warm._compare({"torchvision": right, "onnx": right}) == {"torchvision": 0, "onnx": 0}
    with pytest.raises(RuntimeError, match=r"onnx's logits are 0\.00025 of the largest"):
        warm._compare({"torchvision": right, "onnx": apart})


def test_normalised_is_what_torchvision_feeds():
    from torchvision.transforms.v2 import functional

    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    floats = functional.to_dtype(torch.from_numpy(pixels), torch.float32, scale=True)
    theirs = functional.normalize(floats, list(warm_engines.MEAN), list(warm_engines.STD))
    np.testing.assert_allclose(warm_engines.normalised(pixels), theirs.numpy(), rtol=0, atol=1e-6)


def test_a_turn_is_long_enough_and_not_endless():
    passes = 0

    def once() -> None:
        nonlocal passes
        passes += 1

    taken = warm_engines.timed(once, 0.0)
    assert len(taken) == warm_engines.FEWEST < passes  # some went before that do not count
    assert len(warm_engines.timed(once, 1e9)) == warm_engines.MOST


def test_a_competitor_answers_in_its_own_process_until_it_is_closed():
    with Competitor("benchmarks.matrix_rate", "1", threads=1) as competitor:
        assert competitor.ask({"seconds": 0.0}) > 0
    assert competitor._process.poll() == 0
    with (
        Competitor("benchmarks.warm_engines", "nobody", "nowhere", "1") as broken,
        pytest.raises(RuntimeError, match="nobody nowhere 1 ended with 1 instead of an answer"),
    ):
        broken.ask({"batch": 1})


@pytest.mark.every_variant
def test_warm_prediction_of_the_smallest_network():
    (found,) = warm.measure(["mobilenet_v2"], rounds=1, seconds=0.0)["rows"]
    assert found["engine"] in {"onnx", "openvino", "torch"}
    ours = {*warm_engines.OURS} - {"torch"}  # which only a full run has
    assert set(found["seconds"]) == {*ours, "torchvision", "ONNX Runtime", "OpenVINO"}
    assert all(len(taken) == 1 for taken in found["seconds"].values())
    assert found["macs"] == 300_774_272
    assert 0 < max(found["differences"].values()) <= warm.AGREEMENT  # others add up in another order


def test_start_up_figures():
    rows = [{"verb": verb, "loaded": []} for verb in start_up.VERBS]
    assert [(each.measured, each.met) for each in start_up.figures({"verbs": rows})] == [
        (f"0 of {len(start_up.WITHOUT_TORCH)}", True),
        (f"0 of {len(start_up.VERBS)}", True),
    ]
    loaded = {"models": ["torch"], "show": ["torch", "torchvision"]}
    rows = [{"verb": verb, "loaded": loaded.get(verb, [])} for verb in start_up.VERBS]
    torch_free, vision_free = start_up.figures({"verbs": rows})
    assert torch_free.why == "models import it"  # show may
    assert vision_free.why == "show import it"


def test_the_comparison_on_a_gpu_runs_where_there_is_none():
    modes = [gpu.Mode(name="plain"), gpu.Mode(name="AMP", amp=torch.bfloat16, channels_last=True)]
    rows = gpu.compare("cpu", {"mobilenet_v2": "mobilenetv2_100"}, modes, batch=2, side=32, rounds=1)
    assert [(each["mode"], each["work"]) for each in rows] == [
        ("plain", "answer"),
        ("plain", "train"),
        ("AMP", "answer"),
        ("AMP", "train"),
    ]
    assert all(set(each["seconds"]) == {"convatlas", "torchvision", "timm"} for each in rows)
    found = {"device": "a GPU", "notes": [], "rows": rows}
    assert len(gpu.figures(found)) == len(gpu.lines(found)) == 4


def test_networks_are_on_the_device_before_inference_mode():
    """Moved under it, their parameters would be tensors that no training can change."""
    built = gpu._networks("mobilenet_v2", "mobilenetv2_100", "meta")
    tensors = [tensor for network in built.values() for tensor in network.state_dict(keep_vars=True).values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}  # each of them was copied
    assert not any(tensor.is_inference() for tensor in tensors)


def test_the_answers_of_networks_are_compared_without_moving_them(monkeypatch: pytest.MonkeyPatch):
    built = gpu._networks("mobilenet_v2", "mobilenetv2_100", "cpu")
    monkeypatch.setattr(nn.Module, "to", lambda *_, **__: pytest.fail("moved"))
    assert gpu._difference(built, "cpu", 32) <= gpu.AGREEMENT


def test_float32_is_no_tf32(monkeypatch: pytest.MonkeyPatch):
    allowed = []

    def row(*_: object, **__: object) -> dict[str, Any]:
        allowed.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return {}

    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    monkeypatch.setattr(gpu, "_row", row)
    gpu.compare("cpu", {"a": "b"}, [gpu.Mode(name="plain")], batch=1, side=32, rounds=1)
    assert allowed == [(False, False)] * 2
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


def test_a_mode_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch):
    def row(_device: str, _name: str, _of_timm: str, mode: gpu.Mode, *_: object, **__: object) -> dict[str, Any]:
        if mode.compiled:
            raise RuntimeError("no compiler\nand more of it")
        return {"difference": 0.0, "seconds": {"convatlas": [1.0], "torchvision": [1.5], "timm": [1.5]}}

    monkeypatch.setattr(gpu, "_row", row)
    modes = [gpu.Mode(name="compiled", compiled=True), gpu.Mode(name="plain")]
    rows = gpu.compare("cpu", {"resnet50": "resnet50"}, modes, batch=1, side=32, rounds=1)
    assert [each.get("failed") for each in rows] == ["RuntimeError no compiler"] * 2 + [None] * 2
    found = {"device": "a GPU", "notes": [], "rows": rows}
    figure = gpu.figures(found)[0]
    assert figure.measured.startswith("1.50 times as fast")
    assert figure.why == "resnet50 in compiled failed"
    assert gpu.lines(found)[0].endswith("compiled: failed: RuntimeError no compiler")
    (alone, *_) = gpu.figures({**found, "rows": rows[:2]})
    assert (alone.measured, alone.met) == ("not measured", False)


def test_without_a_compiler_nothing_is_compiled_on_a_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: object())
    monkeypatch.setattr("shutil.which", lambda name: name)
    assert gpu._modes() == (gpu.MODES, [])
    monkeypatch.setattr("shutil.which", lambda name: None)
    modes, notes = gpu._modes()
    assert list(modes) == [mode for mode in gpu.MODES if not mode.compiled]
    assert notes == ["torch.compile was left out: there is no C compiler here"]


def test_figures_of_a_gpu():
    seconds = {"convatlas": [1.0, 1.0, 1.0], "torchvision": [1.5, 2.0, 1.5], "timm": [0.9, 0.9, 5.0]}
    told = {"model": "resnet50", "batch": 64, "difference": 0}
    rows = [{**told, "mode": "plain", "work": work, "seconds": seconds} for work in ("answer", "train")]
    faster, slower, *_ = gpu.figures({"device": "a GPU", "notes": ["no compiler"], "rows": rows})
    assert faster.met and faster.measured.startswith("1.50 times")
    assert faster.measured.endswith("; no compiler")
    assert slower.why == "resnet50 in plain is the slowest, 0.90"
    (alone,) = gpu.figures({"device": None, "rows": []})
    assert (alone.measured, alone.met) == ("not measured", False)


def test_a_figure_without_a_goal_is_told_and_not_counted():
    told, met = Figure(what="growth", measured="1.0"), Figure(what="speed", measured="3", goal="2", met=True)
    assert str(told) == "growth: 1.0"
    assert command.summary([told, met], seconds=60)[-1] == "1 of 1 goals met; measured in 1.0 minutes"
    assert command.summary([told], seconds=60)[-1] == "measured in 1.0 minutes"


@pytest.mark.parametrize(
    "wrong", [{"goal": "2"}, {"met": True}, {"goal": "2", "met": False}, {"goal": "2", "met": True, "why": "so"}]
)
def test_a_figure_contradicts_itself(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="goal"):
        Figure(what="speed", measured="3", **wrong)


# --- int8


def an_int8_row(*, int8: float, onnx: float = 4.0, openvino: float = 3.0) -> dict[str, Any]:
    taken = {"onnx": onnx, "openvino": openvino, "int8": int8}
    return {"seconds": {name: [value, 2 * value, value] for name, value in taken.items()}, "runtime": "openvino"}


def an_int8_result(*, int8: float, same: float, vnni: bool | None = True) -> dict[str, Any]:
    agreement = {"photographs": 2, "pictures": 100, "same": same, "decided": 0.9, "same_decided": 0.999, "rms": 0.1}
    return {
        "vnni": vnni,
        "threads": 2,
        "times": {name: an_int8_row(int8=int8) for name in ("resnet50", "lenet5_modern")},
        "digits": {"pictures": 1000, "float32": 0.97, "int8": 0.97, "float32_bytes": 4, "int8_bytes": 1},
        "agreement": {"imagenet": agreement, "others": {**agreement, "same": 1.0}},
    }


@pytest.mark.parametrize(
    ("int8_time", "same", "vnni", "met"),
    [
        (1.0, 0.995, True, [True, True, True, True]),
        (2.0, 0.985, True, [False, True, False, True]),  # against the quicker float32 engine
        (1.0, 0.995, None, [False, True, True, True]),
    ],
)
def test_int8_figures(int8_time: float, same: float, vnni: bool | None, met: list[bool]):
    figures = int8.figures(an_int8_result(int8=int8_time, same=same, vnni=vnni))
    assert [figure.met for figure in figures] == met
    assert figures[0].measured.startswith("3.00 times" if int8_time == 1 else "1.50 times")
    if int8_time == 2:
        assert figures[0].why == "resnet50: 3e+03 ms in float32 on openvino, 2e+03 ms in int8 on openvino"


# --- The command


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Three that only note that they were asked: two of the promise, of which one was met."""
    asked: list[str] = []

    def made(name: str) -> ModuleType:
        module: Any = ModuleType(name)

        def measure(*, full: bool = False) -> dict[str, Any]:
            asked.append(f"{name} in full" if full else name)
            return {"value": len(asked)}

        met = name == "swift"
        module.measure = measure
        module.lines = lambda given: [f"{name} took {given['value']}"]
        module.figures = lambda _: [
            Figure(what=name, measured="1", goal="2", met=met, why="" if met else "too slow"),
        ]
        return module  # type: ignore[no-any-return]

    names = ("swift", "slow", "digits")
    monkeypatch.setattr(command, "MEASUREMENTS", {name: made(name) for name in names})
    monkeypatch.setattr(command, "PROMISE", names[:2])
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    return asked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["swift", "slow"]),
        (["--full"], ["swift in full", "slow in full", "digits"]),
        (["digits", "swift"], ["digits", "swift"]),
        (["--only", "slow,digits", "--only", "slow"], ["slow", "digits"]),
        (["slow", "--only", "digits", "--full"], ["slow in full", "digits"]),
    ],
)
def test_what_is_measured(words: list[str], expected: list[str], measurements: list[str], tmp_path: Path):
    command.main(words)
    assert measurements == expected
    assert {file.stem for file in tmp_path.iterdir()} == {name.removesuffix(" in full") for name in expected}


def test_the_figures_come_last(measurements: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path):
    command.main([])
    out, err = capsys.readouterr()
    *head, blank, last = out.splitlines()
    assert head == ["swift took 1", "slow took 2", "", "swift: 1 (goal 2: met)", "slow: 1 (goal 2: missed: too slow)"]
    assert blank == ""
    assert last == "1 of 2 goals met; measured in 0.0 minutes"
    assert err == ""  # no progress where no terminal is
    written = json.loads((tmp_path / "slow.json").read_text(encoding="utf-8"))
    assert written["value"] == 2
    assert written["machine"]["cores"]


def test_json_is_json_alone(measurements: list[str], capsys: pytest.CaptureFixture[str]):
    command.main(["slow", "--json"])
    told = json.loads(capsys.readouterr().out)["slow"]
    assert told["value"] == 1
    assert told["took_seconds"] >= 0
    (figure,) = told["figures"]
    assert (figure["what"], figure["goal"], figure["met"], figure["why"]) == ("slow", "2", False, "too slow")


def test_one_that_fails_leaves_the_others(
    measurements: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    def fails(*, full: bool = False) -> dict[str, Any]:
        raise RuntimeError("an engine has ended")

    monkeypatch.setattr(command.MEASUREMENTS["swift"], "measure", fails)
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert "swift: nothing (goal a result: missed: failed: an engine has ended)" in out.splitlines()
    assert "0 of 2 goals met" in out
    assert "swift: an engine has ended" in err
    assert [file.stem for file in tmp_path.iterdir()] == ["slow"]  # what was found before stays


@pytest.mark.parametrize("words", [["swfit"], ["--only", "slow,swfit"]])
def test_an_unknown_name(words: list[str], measurements: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert 'no measurement is called "swfit". Did you mean "swift"? There is swift, slow, digits' in told
    assert measurements == []


@pytest.fixture(scope="module")
def docs() -> Callable[[str], Any]:
    """A module of docs/ by name."""

    def load(name: str) -> Any:
        sys.path.insert(0, str(ROOT / "docs"))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(ROOT / "docs"))

    return load


MEASURED = [name for name in command.PROMISE if (command.RESULTS / f"{name}.json").exists()]


@pytest.mark.parametrize("name", MEASURED)
def test_committed_results_give_figures_which_the_page_and_the_readme_show(name: str):
    result = json.loads((command.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    figures = command.MEASUREMENTS[name].figures(result)
    assert figures
    for file in (ROOT / "docs" / "speed.md", ROOT / "README.md"):
        text = file.read_text(encoding="utf-8")
        for figure in figures:
            assert f"| {figure.what} | {figure.measured} | {figure.goal or '-'}" in text, file.name
            assert figure.why in text


def test_the_page_is_made_of_the_results(docs: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    page = docs("speed_page")
    text = page.page()
    for name in command.PROMISE:
        assert f"## {page.TITLES[name]}\n" in text
        assert (f"Not measured yet: `python -m benchmarks {name}`" in text) == (name not in MEASURED)
    for name in MEASURED:
        (tmp_path / f"{name}.json").write_bytes((command.RESULTS / f"{name}.json").read_bytes())
    altered = json.loads((tmp_path / "warm.json").read_text(encoding="utf-8"))
    altered["rows"][0]["seconds"]["auto"] = [1.0] * len(altered["rows"][0]["seconds"]["auto"])
    (tmp_path / "warm.json").write_text(json.dumps(altered), encoding="utf-8")
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    assert page.page() != text
    assert "missed: " in page.readme_table()
    (tmp_path / "warm.json").unlink()
    assert "Not measured yet: `python -m benchmarks warm`" in page.page()


def test_the_picture_of_warm_prediction(docs: Callable[[str], Any]):
    drawn = docs("warm_picture").drawn
    given = measured(row("resnet50", [0.010], [0.0125], [0.020]), row("vgg16", [0.010], [0.010], [0.080]))
    text = drawn(given)
    assert text == drawn(given)
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title") is not None
    description = root.findtext(f"{space}desc") or ""
    told = (
        "ResNet-50: convatlas 2.0x, 10 ms, ONNX Runtime 1.6x, 12.5 ms, torchvision 1.0x, 20 ms; "
        "VGG-16: convatlas 8.0x, 10 ms, ONNX Runtime 8.0x, 10 ms, torchvision 1.0x, 80 ms."
    )
    assert told in description
    words = ["".join(each.itertext()).strip() for each in root.iter(f"{space}text")]
    assert "convatlas 2.0x, 10 ms" in words
    assert float(root.attrib["width"]) <= 390
