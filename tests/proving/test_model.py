"""The model by itself: what becomes of rows, in dictionaries."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from meterledger.proving.history import SUM, Flaw, Row
from meterledger.proving.model import Model

ROW = Row(key="r1", customer="cus_a", feature=SUM, quantity="1.50", at=0)
OTHER = replace(ROW, quantity="2")


def test_the_first_of_a_key_stands() -> None:
    """The same again is a duplicate, by value; anything else is a conflict, counted as often as it comes."""
    model = Model()

    assert model.hand_over([ROW, replace(ROW, quantity="1.5"), OTHER]) == Counter(
        accepted=1, duplicates=1, conflicts=1
    )
    assert model.hand_over([OTHER]) == Counter(conflicts=1)
    assert [one.quantity for one in model.usage.values()] == [Decimal("1.5")]
    assert len(model.conflicts) == 2


def test_the_same_file_again_has_the_same_refused_rows() -> None:
    """A conflict and a rejection are one each, however often their file is read."""
    model = Model()
    file = [ROW, OTHER, replace(ROW, key="r2", flaw=Flaw.NEGATIVE)]
    model.hand_over(file)

    assert model.hand_over(file) == Counter(duplicates=1, conflicts=1, rejected=1)
    assert (len(model.conflicts), len(model.rejected)) == (1, 1)


def test_a_rejection_is_closed_when_its_key_is_accepted() -> None:
    """It stays closed when its file comes again; one whose key could not be read stays open."""
    model = Model()
    bad = [replace(ROW, flaw=Flaw.NEGATIVE), replace(ROW, key="r2", flaw=Flaw.MALFORMED)]
    model.hand_over(bad)
    model.hand_over([ROW, replace(ROW, key="r2")])
    model.hand_over(bad)

    assert [row.key for row in model.rejected.values()] == ["r2"]
