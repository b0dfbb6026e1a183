"""Ours against the same networks of torchvision, timm and pytorchcv: parameters, multiply-accumulates, outputs.

Both are counted by one counter, as they are published, at the size of picture on our network's card, or the size that a
ViT's positions are of. The outputs are those of the same random weights, in float64, for a small picture of noise;
weights of torchvision and timm are renamed by our key maps, those of pytorchcv are matched by their order.
"""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks import peers
from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.catalog import card, list_models
from convatlas.models import MODELS, create_model

ROOT = Path(__file__).parent.parent


def measure(names: Iterable[str] | None = None) -> dict[str, Any]:
    """Compare the networks `names` (None: all) with every peer of theirs, one pair after another.

    Raises MissingExtra where a library is not installed.
    """
    wanted = list_models() if names is None else tuple(names)
    pairs = [pair for name in wanted for pair in peers.pairs() if pair.model == name]
    with_peer = {pair.model for pair in pairs}
    return {
        "rows": [_compare(pair) for pair in pairs],
        "without_peer": {name: test_file(name) for name in wanted if name not in with_peer},
        "versions": {name: metadata.version(name) for name in peers.LIBRARIES if name in {p.library for p in pairs}},
    }


def lines(measured: dict[str, Any]) -> list[str]:
    rows = measured["rows"]
    largest = max((row["difference"] for row in rows), default=0.0)
    unequal = sum(row["ours"] != row["theirs"] for row in rows)
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    head = (
        f"{len(rows)} pairs with {versions}: parameters and multiply-accumulates equal in all but {unequal}, outputs "
        f"within {largest:.0e} of the largest:"
    )
    alone = [f"{name}: no pair, see {file}" for name, file in measured["without_peer"].items()]
    return [head, *(_told(row) for row in rows), *alone]


def _told(row: dict[str, Any]) -> str:
    why = f" ({row['why']})" if row["why"] else ""
    return (
        f"{told_network(row)}, {row['library']}'s {row['peer']}: parameters {told_count(row, 'parameters')}; "
        f"MACs {told_count(row, 'macs')}; outputs differ by {told_difference(row)}{why}"
    )


def told_network(row: dict[str, Any]) -> str:
    """ "mobilenet_v2 (width=0.5)", or the bare name of a network as it is."""
    changes = ", ".join(f"{field}={value}" for field, value in row["changes"].items())
    return f"{row['model']} ({changes})" if changes else str(row["model"])


def told_count(row: dict[str, Any], what: str) -> str:
    """ "269,722, theirs 272,474 (+2,752)", or the one number that both have."""
    ours, theirs = row["ours"][what], row["theirs"][what]
    return f"{ours:,}" if ours == theirs else f"{ours:,}, theirs {theirs:,} ({theirs - ours:+,})"


def told_difference(row: dict[str, Any]) -> str:
    """ "3e-16", or "0" where every bit is the same."""
    return f"{row['difference']:.0e}" if row["difference"] else "0"


_OF_MANY = (
    "test_contract",
    "test_tracing",
    "test_compiled",
    "test_convolutional",
    "test_other_networks",
)  # no family's own
# Where another file than one named like the network's module holds it.
_TESTS = {"se_inception_resnet_v2": "test_senet", "shufflenet_v2_exlarge": "test_shufflenet_v2_large"}


def test_file(name: str) -> str:
    """The tests of a network's family, which hold it against its paper, and against pytorchcv where they can."""
    files = sorted((ROOT / "tests" / "models").glob("test_*.py"))
    if name in _TESTS:
        return f"tests/models/{_TESTS[name]}.py"
    module = MODELS[name].module
    words = module.rpartition(".")[2].split("_")  # those of resnet hold resnet_cifar's too
    stems = [f"test_{'_'.join(words[:count])}" for count in range(len(words), 0, -1)]
    own = [file for stem in stems for file in files if file.stem == stem]
    family = [f'"{other}"' for other, entry in MODELS.items() if entry.module == module]
    shared = [file for file in files if file.stem not in _OF_MANY and _mentions(file, family)]
    return f"tests/models/{(own + shared)[0].name}"


def _mentions(file: Path, words: list[str]) -> bool:
    text = file.read_text(encoding="utf-8")
    return any(word in text for word in words)


def _compare(pair: peers.Pair) -> dict[str, Any]:
    with torch.device("meta"):
        ours, theirs = create_model(pair.model, **pair.changes), peers.build(pair)
    channels, height, width = card(pair.model).input
    own = getattr(ours.config, "image_size", None)  # a ViT's positions are those of one size
    image = (channels, own or height, own or width)
    return {
        "model": pair.model,
        "changes": dict(pair.changes),
        "library": pair.library,
        "peer": pair.name,
        "input": list(image),
        "ours": _counts(ours, image),
        "theirs": _counts(theirs, image),
        "difference": peers.largest_difference(pair),
        "why": pair.why,
    }


def _counts(network: nn.Module, image: tuple[int, int, int]) -> dict[str, int]:
    return {"parameters": count_parameters(network), "macs": count_macs(network, image)}
