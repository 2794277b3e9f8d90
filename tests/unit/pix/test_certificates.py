"""Our certificates at banks: both forms, what is left of them, and when somebody is told."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from opentill.kernel.clock import DAY, Instant, from_datetime
from opentill.kernel.errors import Refused
from opentill.outbound.tls import context_for
from opentill.pix.providers.certificates import days_left, expires_at, tls_profile, warning_day
from opentill.pix.providers.rounds import rounds
from tests.fakes.authority import Authority

AUTHORITY = Authority()
CHAIN, KEY = AUTHORITY.client_certificate("opentill.example.com")


def p12(password: str) -> str:
    certificates = load_pem_x509_certificates(CHAIN.encode())
    protection = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = load_pem_private_key(KEY.encode(), None)
    return b64encode(
        serialize_key_and_certificates(b"opentill", key, certificates[0], certificates[1:], protection)  # type: ignore[arg-type]
    ).decode()


@pytest.mark.parametrize(
    "known",
    [
        {"certificate": CHAIN, "key": KEY},
        {"p12": p12("")},
        {"p12": p12("segredo"), "p12_password": "segredo"},
    ],
    ids=["pem", "p12 without a password", "p12 with one"],
)
@pytest.mark.checklist("L24")
def test_a_certificate_is_read_and_can_be_presented(known: dict[str, str]) -> None:
    profile = tls_profile(known | {"roots": AUTHORITY.roots})
    assert profile is not None
    assert context_for(profile).get_ca_certs()
    assert KEY[40:80] not in repr(profile)
    ends = load_pem_x509_certificates(CHAIN.encode())[0].not_valid_after_utc
    assert expires_at(profile) == from_datetime(ends)


def test_an_account_without_a_certificate_presents_none() -> None:
    assert tls_profile({"client_id": "x"}) is None
    assert expires_at(None) is None


@pytest.mark.parametrize("known", [{"p12": "not base64!"}, {"p12": b64encode(b"x").decode()}, {"p12": p12("a")}])
def test_a_certificate_nobody_can_read_is_refused(known: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        tls_profile(known)
    assert refused.value.code == "BAD_CERTIFICATE"


@pytest.mark.parametrize("password", ["", "segredo"])
def test_the_rounds_of_every_part_are_counted_however_the_file_is_written(password: str) -> None:
    file = b64decode(p12(password))
    asked = rounds(file)
    assert asked > 2_000
    assert file[:2] == b"\x30\x82"
    assert rounds(b"\x30\x80" + file[4:] + b"\0\0") == asked  # its end is marked, its length unsaid
    assert rounds(b"\x30\x83\0" + file[2:]) == asked
    at = file.index(b"\x04\x82")
    length = int.from_bytes(file[at + 2 : at + 4])
    pieces = b"".join(b"\x04\x01" + bytes([octet]) for octet in file[at + 4 : at + 4 + length])
    assert rounds(b"\x30\x80" + file[4:at] + b"\x24\x80" + pieces + b"\0\0" + file[at + 4 + length :]) == asked


def test_a_file_hardened_by_scrypt_is_not_opened() -> None:
    params = bytes.fromhex("301d 0609 2b06010401da47040b 3010 0408 0011223344556677 0201 02 0201 08")
    with pytest.raises(Refused, match="more than 1000000 rounds"):
        tls_profile({"p12": b64encode(params).decode()})


@given(st.binary(max_size=2_000))
def test_anything_else_asks_for_some_rounds_or_none(file: bytes) -> None:
    assert rounds(file) >= 0
    assert rounds(b"\x04\x83\xff\xff\xff0\x80" + file) >= 0


@pytest.mark.checklist("L24")
def test_a_warning_holds_at_sixty_thirty_and_seven_days() -> None:
    assert [warning_day(days) for days in (61, 60, 31, 30, 8, 7, 0, -1)] == [None, 60, 60, 30, 30, 7, 7, 7]


def test_days_left_are_whole_days() -> None:
    until = from_datetime(datetime(2026, 3, 31, tzinfo=UTC))
    assert days_left(until, Instant(until - 7 * DAY)) == 7
    assert days_left(until, Instant(until - 7 * DAY + 1)) == 6
    assert days_left(until, Instant(until + 1)) == -1
