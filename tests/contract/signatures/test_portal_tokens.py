"""Portal links: the vector of the specification, and every way to forge one (webhooks.md §12, §17)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from opentill.kernel.secret import Keyring, MasterKeys
from opentill.webhooks import portal_tokens
from opentill.webhooks.portal_tokens import Claims

VECTOR = json.loads((Path(__file__).parent / "vectors.json").read_text())["portal_link"]
KEYRING = Keyring(MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes.fromhex(VECTOR["install_key_hex"])))
CLAIMS = Claims(**{k: tuple(v) if isinstance(v, list) else v for k, v in VECTOR["claims"].items()})


def test_the_key_of_links_is_derived_as_specified() -> None:
    assert KEYRING.derived(portal_tokens.PURPOSE).hex() == VECTOR["portal_key_hex"]


def test_a_link_is_written_and_read_as_specified() -> None:
    assert portal_tokens.write(CLAIMS, KEYRING).reveal() == VECTOR["token"]
    assert portal_tokens.read(VECTOR["token"], KEYRING) == CLAIMS


def test_no_changed_character_is_read() -> None:
    token = VECTOR["token"]
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert portal_tokens.read(token[:place] + other + token[place + 1 :], KEYRING) is None, place
    for length in range(len(token)):
        assert portal_tokens.read(token[:length], KEYRING) is None


def test_more_rights_need_another_signature() -> None:
    forged = portal_tokens.write(replace(CLAIMS, rights=("edit",)), KEYRING).reveal()
    body = forged.split(".")[1]
    version, _, signature = VECTOR["token"].split(".")
    assert portal_tokens.read(f"{version}.{body}.{signature}", KEYRING) is None


@pytest.mark.parametrize("text", ["", ".", "..", "pl1..", "pl1.e30.", "pl1.é.x", "x" * 5000])
def test_rubbish_is_no_link(text: str) -> None:
    assert portal_tokens.read(text, KEYRING) is None


def test_another_installation_does_not_read_it() -> None:
    other = Keyring(MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes(32)))
    assert portal_tokens.read(VECTOR["token"], other) is None
