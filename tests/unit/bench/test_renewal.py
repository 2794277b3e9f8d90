"""Recorded requests are repeated with fresh values that keep their meaning."""

import json
import re
import time
from pathlib import Path

import pytest
from bench.renewal import Unrepeatable, renewable
from bench.statements import Filler, load, save

from tests.unit.bench.recordings import PAYMENT, pairs

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def filled(seed: int = 1) -> dict[str, object]:
    """Return every parameter of one fresh request."""
    (unit,) = Filler(renewable(pairs()), seed).fill()
    return {name: value for step in unit.steps for name, value in step.params.items()}


def test_what_is_the_same_in_every_request_stays() -> None:
    assert filled()["amount"] == 1_499_000


def test_what_belongs_to_a_merchant_is_one_of_the_merchants_values() -> None:
    filler = Filler(renewable(pairs()), 1)
    assert {filler.fill()[0].steps[0].params["owner"] for _ in range(50)} == {1, 2, 3}


def test_instants_become_now_and_keep_their_distance() -> None:
    found, now_us = filled(), time.time_ns() // 1000
    assert abs(found["now"] - now_us) < 5_000_000
    assert abs(found["expires_at"] - now_us - 1_800_000_000) < 5_000_000


def test_ids_keep_their_shape_and_begin_with_the_time() -> None:
    found, now_ms = filled(), time.time_ns() // 1_000_000
    assert UUID7.fullmatch(found["uuid"])
    assert abs(int(found["uuid"].replace("-", "")[:12], 16) - now_ms) < 5_000
    assert re.fullmatch(r"evt_[0-9a-f]{24}", found["id"])
    assert abs(int(found["id"][4:16], 16) - now_ms) < 5_000
    assert re.fullmatch(r"[0-9a-f]{64}", found["token"])


def test_no_two_requests_share_what_must_be_unique() -> None:
    filler = Filler(renewable(pairs()))
    tokens = [filler.fill()[0].steps[1].params["token"] for _ in range(200)]
    assert len(set(tokens)) == 200


def test_text_that_occurs_twice_is_the_same_in_both_places() -> None:
    found = filled()
    document = json.loads(found["doc"])
    assert document["payment"] == found["uuid"]
    assert document["order"] == found["order_id"]
    assert document["note"] == "a: b"


def test_a_returned_id_is_taken_from_the_answer_of_the_earlier_statement() -> None:
    (unit,) = Filler(renewable(pairs()), 1).fill()
    payment = unit.steps[1]
    assert payment.sql == PAYMENT
    assert payment.patches == [("customer_id", 0, 0)]
    assert "customer_id" not in payment.params


def test_the_list_of_statements_survives_its_file(tmp_path: Path) -> None:
    request = renewable(pairs())
    save(request, tmp_path / "statements.json")
    kept = load(tmp_path / "statements.json")
    mine, theirs = Filler(request, 7).fill(), Filler(kept, 7).fill()
    assert [step.sql for step in mine[0].steps] == [step.sql for step in theirs[0].steps]
    assert mine[0].steps[1].params["token"] == theirs[0].steps[1].params["token"]


def test_requests_with_different_statements_cannot_be_repeated() -> None:
    found = pairs()
    shorter = [type(found[0][0][0])("write", found[0][0][0].at, found[0][0][0].statements[:2])]
    with pytest.raises(Unrepeatable, match="same statements"):
        renewable([(found[0][0], shorter)])
