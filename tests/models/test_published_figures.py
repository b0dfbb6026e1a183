"""Every network's parameters and multiply-accumulates, and what papers print of them: cards and networks are both held
against the same two tables.
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
import torch

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.catalog import Card, list_cards, list_models
from convatlas.models import create_model
from tests.models.counted_figures import ROWS, Row
from tests.models.printed_figures import EXCEPTIONS, PRINTED, Printed

OF_NAME = {row.name: row for row in ROWS if not row.changes}
OF_NETWORK = {str(row): row for row in ROWS}
CARDS = {card.name: card for card in list_cards()}
MEASURES = {"error", "top-5 error", "accuracy", "top-5 accuracy"}
PLACE = r"[Tt]able|Figure|Section|weights \w+|README|\w\.md|notes to \w+|github\.com/|models/"


def cases() -> list[object]:
    """Every row; all but the one with the fewest multiply-accumulates of its family with the mark every_variant."""
    rows = [row for row in ROWS if row.name in CARDS]  # another test says which are left over
    least = {CARDS[row.name].family: row for row in sorted(rows, key=lambda row: -row.macs) if not row.changes}
    marks = {True: (), False: pytest.mark.every_variant}
    return [pytest.param(row, id=str(row), marks=marks[row in least.values()]) for row in rows]


def measured(printed: Printed) -> int:
    return getattr(OF_NETWORK[printed.network], printed.what)


def holds(printed: Printed) -> bool:
    """Whether the table's figure rounds to the printed digits, or is below them."""
    value = Decimal(measured(printed)) / Decimal(printed.unit)
    digits = Decimal(printed.digits.replace(",", ""))
    return value < digits if printed.below else value.quantize(digits, ROUND_HALF_UP) == digits


def test_every_network_of_the_catalog_has_one_row():
    names = [row.name for row in ROWS if not row.changes]
    missing = sorted(set(list_models()) - set(names))
    assert missing == [], (
        f"{', '.join(missing)}: no row in counted_figures.py. Add one whose figures are counted by another library, or "
        "by hand in a test beside it, not taken from the card; and what the paper prints to printed_figures.py"
    )
    assert sorted(set(names) - set(list_models())) == [], "rows left over: the catalog has no such network"
    assert len(OF_NETWORK) == len(ROWS), "a network with the same config twice"


@pytest.mark.parametrize("row", cases())
def test_the_network_has_the_figures_of_the_table(row: Row):
    with torch.device("meta"):
        network = create_model(row.name, **row.changes)
    assert count_parameters(network) == row.params
    assert count_macs(network, row.input) == row.macs


@pytest.mark.parametrize("name", [name for name in CARDS if name in OF_NAME])
def test_the_card_has_the_figures_of_the_table(name: str):
    card, row = CARDS[name], OF_NAME[name]
    assert (card.params, card.macs, card.input) == (row.params, row.macs, row.input)


def test_the_files_that_count_by_hand_exist():
    named = {row.oracle for row in ROWS if row.oracle.startswith("test_")}
    assert {file for file in named if not Path(__file__).with_name(file).is_file()} == set()


@pytest.mark.parametrize("printed", PRINTED, ids=lambda printed: f"{printed.network}-{printed.what}-{printed.digits}")
def test_what_the_paper_prints_holds_to_its_last_digit_or_is_an_exception(printed: Printed):
    reason = EXCEPTIONS.get((printed.network, printed.digits))
    if reason is None:
        assert holds(printed), f"{printed.where} prints {printed.digits}"
    else:
        assert not holds(printed), "it holds: no exception"
        assert f"{measured(printed):,}" in reason


def test_each_exception_is_of_a_printed_figure():
    assert set(EXCEPTIONS) <= {(printed.network, printed.digits) for printed in PRINTED}


@pytest.mark.parametrize("card", CARDS.values(), ids=list(CARDS))
def test_each_published_score_names_its_source(card: Card):
    for score in card.published:
        assert score.measure in MEASURES
        assert 0 < score.value < 100
        assert score.on
        assert score.protocol
        assert re.search(PLACE, score.source)
    told = [(score.measure, score.on, score.protocol) for score in card.published]
    assert len(told) == len(set(told))
