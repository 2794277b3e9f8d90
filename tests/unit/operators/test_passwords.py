"""What we ask of a password, and how it is kept."""

import pytest

from opentill.kernel.secret import Secret
from opentill.operators import passwords

GOOD = "quatro cavalos pastam"


def codes(text: str) -> list[str]:
    return [fault.code for fault in passwords.faults_of(Secret(text), email="ana@loja.example", name="Ana Maria")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, []),
        ("senha€longa…12", []),
        ("short", ["PASSWORD_TOO_SHORT"]),
        ("x" * 257, ["PASSWORD_TOO_LONG"]),
        ("abababababab", ["PASSWORD_TOO_SIMPLE"]),
        ("ana@loja.example", ["PASSWORD_NAMES_YOU"]),
        ("i am MARIA today", ["PASSWORD_NAMES_YOU"]),
        ("opentill-rocks!", ["PASSWORD_NAMES_YOU"]),
    ],
)
def test_a_password_is_long_and_not_about_its_owner(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


@pytest.mark.bar("S6", part="passwords")
def test_a_password_is_kept_as_a_slow_hash_that_says_how_slow() -> None:
    kept = passwords.hash_password(Secret(GOOD))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert kept != passwords.hash_password(Secret(GOOD))
    assert passwords.matches(kept, Secret(GOOD))
    assert not passwords.matches(kept, Secret(GOOD + "!"))
    assert not passwords.matches("damaged", Secret(GOOD))


def test_two_keyboards_that_type_the_same_letters_agree() -> None:
    composed, decomposed = "pão de queijo quente", "pa\u0303o de queijo quente"
    assert passwords.matches(passwords.hash_password(Secret(composed)), Secret(decomposed))
