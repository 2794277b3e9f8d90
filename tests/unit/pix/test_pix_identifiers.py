"""Identifiers: made in the strict forms of pix-rail.md §4 and pix-api.md §8.3, read in lenient ones."""

import re

import pytest

from opentill.kernel.clock import Instant, ManualClock
from opentill.kernel.ids import SeededIds
from opentill.pix import identifiers

AT = Instant(1_772_897_400_000_000)  # 2026-03-07T15:30:00Z


@pytest.fixture
def ids() -> SeededIds:
    return SeededIds(7, ManualClock(AT))


def test_a_charge_id_is_a_label_and_its_txid_suits_the_bank(ids: SeededIds) -> None:
    for _ in range(500):
        charge = identifiers.charge_id(ids)
        assert re.fullmatch(r"[a-z][a-z0-9]{24}", charge)
        assert re.fullmatch(r"[a-zA-Z0-9]{26,35}", identifiers.provider_txid(charge))


def test_a_received_txid_is_looked_up_in_either_form(ids: SeededIds) -> None:
    charge = identifiers.charge_id(ids)
    assert identifiers.charge_id_of(charge) == charge
    assert identifiers.charge_id_of(identifiers.provider_txid(charge)) == charge


def test_a_charge_id_that_begins_like_the_prefix_is_not_cut() -> None:
    charge = "ot" + "a1" * 11 + "z"
    assert identifiers.charge_id_of(charge) == charge
    assert identifiers.charge_id_of("ot" + charge) == charge


@pytest.mark.parametrize("txid", ["", "PEDIDO0001", "A" * 25, "xy" + "a" * 25, "ot" + "1" * 25, "ot" * 18])
def test_a_foreign_txid_names_no_charge(txid: str) -> None:
    assert identifiers.charge_id_of(txid) is None


def test_dated_ids_carry_the_day_in_utc(ids: SeededIds) -> None:
    assert re.fullmatch(r"PIXIN20260307[a-z0-9]{12}", identifiers.receipt_id(ids, AT))
    assert re.fullmatch(r"PIXOUT20260307[a-z0-9]{12}", identifiers.payout_id(ids, AT))
    assert re.fullmatch(r"PIXRET20260307[a-z0-9]{12}", identifiers.refund_id(ids, AT))


@pytest.mark.checklist("L6")
def test_ids_of_the_rail_have_the_strict_form(ids: SeededIds) -> None:
    made = identifiers.end_to_end_id(ids, "99999002", AT)
    assert re.fullmatch(r"E99999002202603071530[a-zA-Z0-9]{11}", made)
    assert re.fullmatch(r"D99999001202603071530[a-zA-Z0-9]{11}", identifiers.return_id(ids, "99999001", AT))
    assert identifiers.is_strict_end_to_end_id(made)
    assert identifiers.payer_ispb(made) == "99999002"


@pytest.mark.checklist("L6")
def test_a_loose_id_is_known_as_one_and_names_no_bank() -> None:
    loose = "e99999002202603071530abcdef12345"
    assert identifiers.is_rail_id(loose)
    assert not identifiers.is_strict_end_to_end_id(loose)
    assert identifiers.payer_ispb(loose) is None
    assert not identifiers.is_rail_id(loose[:27])
