"""What a verb imports in a fresh process: the promise of docs/adr/0005, verb by verb."""

import importlib
from pathlib import Path

import pytest
from benchmarks.start_up import LEFT_OUT, SLOW, VERBS, WITHOUT_TORCH, ask, prepare

from convatlas import cli

# The slow packages that a verb may load; every verb of the table is here.
ALLOWED = {
    "--help": {"rich"},
    "models": set(),
    "weights list": set(),
    "costs": set(),
    "runs": set(),
    "data check": {"rich"},
    "export": {"torch", "onnxruntime", "onnx"},
    "quantize": {"onnxruntime", "onnx"},
    "predict, exported": {"onnxruntime", "rich"},
    "predict, int8": {"onnxruntime", "rich"},
    "predict, on torch": {"torch", "rich"},
    "show": {"torch"},
    "draw": {"torch"},
    "plot": {"matplotlib"},
    "animate": set(),
    "compare": {"torch"},
    "field": {"torch"},
    "train --dry-run": {"torch", "accelerate"},
    "evaluate": {"torch", "accelerate"},
    "doctor": {"torch"},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return prepare(tmp_path_factory.mktemp("start_up"))


def loaded(verb: str, places: dict[str, str], folder: Path) -> set[str]:
    _, asked = ask([word.format(**places) for word in VERBS[verb]], folder)
    return set(asked["loaded"])


def test_every_verb_is_promised_something():
    assert list(ALLOWED) == list(VERBS)
    assert set(WITHOUT_TORCH) == {verb for verb, packages in ALLOWED.items() if "torch" not in packages}


def test_every_verb_of_the_command_line_is_asked_or_left_out_with_a_reason():
    real = set()
    for verb in cli.VERBS:
        module = importlib.import_module(f"convatlas.cli.{verb}")
        if hasattr(module, "app"):
            real |= {f"{verb} {command.name}" for command in module.app.registered_commands}
        else:
            real.add(verb)
    asked = {" ".join(words[:2]) if words[0] in ("data", "weights") else words[0] for words in VERBS.values()}
    assert asked - {"--help"} == real - set(LEFT_OUT)
    assert set(LEFT_OUT) < real and all(LEFT_OUT.values())


@pytest.mark.parametrize("verb", WITHOUT_TORCH)
def test_verbs_without_torch(verb: str, places: dict[str, str], tmp_path: Path):
    assert loaded(verb, places, tmp_path) <= ALLOWED[verb]


@pytest.mark.every_variant
@pytest.mark.parametrize("verb", sorted(set(ALLOWED) - set(WITHOUT_TORCH)))
def test_verbs_with_torch_load_no_more_than_it(verb: str, places: dict[str, str], tmp_path: Path):
    assert loaded(verb, places, tmp_path) <= ALLOWED[verb]


def test_what_is_loaded_is_seen(tmp_path: Path):
    """The look at the end would see each of them, were it there."""
    assert {"torch", "rich"} < set(SLOW)
    _, asked = ask(["show", "lenet5_modern"], tmp_path)
    assert "torch" in asked["loaded"]
