"""The benchmark of peers: what it finds of two small networks, and that its committed results are whole."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import timm
import torchvision.models
from benchmarks import parity, peers
from benchmarks.__main__ import RESULTS

from convatlas.catalog import list_cards, list_models
from convatlas.errors import MissingExtra, WeightsError
from tests.models.counted_figures import ROWS

ROOT = Path(__file__).parent.parent
PAIRS = {str(pair): pair for pair in peers.pairs()}
NIN = PAIRS["nin_cifar10-pytorchcv-nin_cifar10"]
RESNET = PAIRS["resnet20_cifar-pytorchcv-resnet20_cifar10"]


def test_two_small_networks_and_one_without_a_peer():
    measured = parity.measure(["nin_cifar10", "resnet20_cifar", "lenet5_modern"])
    nin, resnet = measured["rows"]
    # The layers of NIN by hand, with biases; MACs of the three blocks of two poolings.
    layers = [(25 * 3, 192), (192, 160), (160, 96), (25 * 96, 192), (192, 192), (192, 192), (9 * 192, 192), (192, 192)]
    layers += [(192, 10)]
    pixels = [32 * 32] * 3 + [16 * 16] * 3 + [8 * 8] * 3
    assert nin["ours"] == nin["theirs"] == {
        "parameters": sum(a * b + b for a, b in layers),
        "macs": sum(a * b * area for (a, b), area in zip(layers, pixels, strict=True)),
    }  # fmt: skip
    # Two projections more: 16 * 32 + 64 and 32 * 64 + 128 parameters, on 16 x 16 and on 8 x 8 pixels.
    assert resnet["ours"] == {"parameters": 269_722, "macs": 40_551_040}
    assert resnet["theirs"] == {"parameters": 269_722 + 2_752, "macs": 40_551_040 + 16 * 32 * 256 + 32 * 64 * 64}
    assert max(nin["difference"], resnet["difference"]) <= 1e-10
    assert measured["without_peer"] == {"lenet5_modern": "tests/models/test_lenet5.py"}
    assert list(measured["versions"]) == ["pytorchcv"]
    head, *told, alone = parity.lines(measured)
    assert head.startswith("2 pairs with pytorchcv ")
    assert "equal in all but 1, " in head
    assert told[0].startswith(
        "nin_cifar10, pytorchcv's nin_cifar10: parameters 966,986; MACs 222,486,528; outputs differ by "
    )
    assert "parameters 269,722, theirs 272,474 (+2,752); MACs 40,551,040, theirs 40,813,184 (+262,144)" in told[1]
    assert "for the outputs ours has shortcut=projection" in told[1]
    assert alone == "lenet5_modern: no pair, see tests/models/test_lenet5.py"


def test_a_network_that_is_not_the_same_is_found_out():
    assert peers.largest_difference(dataclasses.replace(NIN, make_alike=None)) > 1e-3  # another pooling
    with pytest.raises(WeightsError, match=r"resnet20_cifar10: the tensors .* do not have the same shapes"):
        peers.largest_difference(dataclasses.replace(RESNET, alike={}))


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pytorchcv.model_provider", None)
    with pytest.raises(MissingExtra, match=r"networks of pytorchcv needs .*pip install 'convatlas\[dev\]'"):
        parity.measure(["nin_cifar10"])


def test_the_file_that_is_named_is_the_one_that_counts_by_hand():
    named = {row.name: row.oracle for row in ROWS if row.oracle.startswith("test_") and not row.changes}
    assert {name: Path(parity.test_file(name)).name for name in named} == named


@pytest.mark.parametrize(
    ("library", "theirs"), [("timm", timm.list_models), ("torchvision", torchvision.models.list_models)]
)
def test_an_alias_that_a_peer_has_too_is_that_peers_network(library, theirs):
    known = set(theirs())
    aliases = {(alias, card.name) for card in list_cards() for alias in card.aliases if alias in known}
    assert aliases
    compared = {(pair.name, pair.model) for pair in PAIRS.values() if pair.library == library and not pair.changes}
    assert aliases - compared - {("vit_huge_patch14_224", "vit_h_14")} == set()  # too large to be compared whole


def test_each_pair_is_there_once():
    assert len(PAIRS) == len(peers.pairs())
    assert {pair.library for pair in PAIRS.values()} == set(peers.LIBRARIES)
    assert all(pair.why for pair in PAIRS.values() if pair.alike or pair.make_alike)


def test_the_committed_results_have_every_network_and_hide_nothing():
    """Where this fails: `python -m benchmarks parity`, then `make docs`."""
    result = json.loads((RESULTS / "parity.json").read_text(encoding="utf-8"))
    rows = result["rows"]
    found = [f"{row['model']}-{row['library']}-{row['peer']}" for row in rows]
    assert sorted(found) == sorted(PAIRS)
    assert {row["model"] for row in rows} | set(result["without_peer"]) == set(list_models())
    assert {row["model"] for row in rows}.isdisjoint(result["without_peer"])
    assert [row["peer"] for row in rows if row["difference"] > 1e-10] == []
    assert [row["peer"] for row in rows if row["ours"] != row["theirs"] and not row["why"]] == []
    assert [file for file in result["without_peer"].values() if not (ROOT / file).exists()] == []
