"""The verification bench names the step that fails, for every mistake people make (webhooks.md §12, §16.5)."""

import time

import pytest

from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.secret import Secret
from opentill.webhooks import verifying
from opentill.webhooks.model import Dialect, SigningSecrets
from opentill.webhooks.signing import Attempt, headers
from opentill.webhooks.verifying import Pasted, Sent

SECRET = Secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
PIX_SECRET = Secret("a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4")
BODY = '{"event":"payment.completed","amount":"99.90","note":"Zoë 💳"}'.encode()
NOW = Instant(1_784_000_000 * SECOND)


def secret_of(dialect: Dialect) -> Secret:
    return PIX_SECRET if dialect is Dialect.PIX else SECRET


def sent(dialect: Dialect, *, at: int = 1_784_000_000) -> dict[str, str]:
    made = headers(
        Attempt(
            dialect=dialect,
            event_id="evt_0197f3c20000a1b2c3d4e5f6",
            event_name="payment.completed",
            delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
            number=1,
            timestamp=at,
            body=BODY,
        ),
        SigningSecrets(secret_of(dialect)),
    )
    return verifying.read_headers("\n".join(f"{name}: {value}" for name, value in made))


def findings(
    dialect: Dialect, given: dict[str, str], body: bytes = BODY, secret: Secret | None = None
) -> dict[str, str]:
    pasted = Pasted(given, body, secret or secret_of(dialect))
    steps = verifying.check(pasted, dialect, sent=Sent(BODY), now=NOW)
    return {step.name: step.finding for step in steps}


@pytest.mark.parametrize("dialect", Dialect)
def test_a_good_request_passes_every_step(dialect: Dialect) -> None:
    assert findings(dialect, sent(dialect)) == {
        "headers": "present",
        "time": "fresh",
        "body": "same",
        "secret": "plausible",
        "signature": "valid",
    }


@pytest.mark.parametrize("dialect", Dialect)
def test_each_mistake_is_named(dialect: Dialect) -> None:
    good, secret = sent(dialect), secret_of(dialect)
    assert findings(dialect, {})["headers"] == "missing"
    assert findings(dialect, sent(dialect, at=1_784_000_000 - 301))["time"] == "old"
    assert findings(dialect, sent(dialect, at=1_784_000_000 + 301))["time"] == "ahead"
    assert findings(dialect, sent(dialect, at=1_784_000_000 + 300))["time"] == "fresh"
    assert findings(dialect, good, BODY.replace(b"99.90", b"99.9"))["body"] == "changed"
    assert findings(dialect, good, BODY + b"\n") == {
        **findings(dialect, good),
        "body": "blanks",
        "signature": "blanks",
    }
    assert findings(dialect, good, secret=Secret(f" {secret.reveal()}"))["signature"] == "secret_blanks"
    assert findings(dialect, good, secret=Secret("another-secret-altogether"))["signature"] == "different"
    assert findings(dialect, good, secret=Secret(""))["secret"] == "empty"
    assert findings(dialect, good, secret=Secret("op_abcdef12.0123"))["secret"] == "other_key"


def test_a_lost_prefix_is_named() -> None:
    bare = Secret(SECRET.reveal().removeprefix("whsec_"))
    assert findings(Dialect.STANDARD, sent(Dialect.STANDARD), secret=bare)["secret"] == "prefix_lost"
    assert findings(Dialect.MERCHANT, sent(Dialect.MERCHANT), secret=bare)["signature"] == "secret_prefix"


def test_headers_of_another_dialect_are_recognised() -> None:
    assert findings(Dialect.PIX, sent(Dialect.MERCHANT))["headers"] == "other_dialect"
    assert findings(Dialect.MERCHANT, sent(Dialect.PIX))["headers"] == "other_dialect"


def test_the_first_byte_that_differs_is_shown() -> None:
    pasted = Pasted(sent(Dialect.MERCHANT), BODY.replace(b"99.90", b"11.90"), SECRET)
    [step] = [s for s in verifying.check(pasted, Dialect.MERCHANT, sent=Sent(BODY), now=NOW) if s.name == "body"]
    assert step.facts["place"] == BODY.index(b"99.90")
    assert "11.90" in str(step.facts["got"])
    assert "99.90" in str(step.facts["sent"])


def test_what_is_not_ours_is_not_compared() -> None:
    steps = verifying.check(Pasted(sent(Dialect.PIX), BODY, PIX_SECRET), Dialect.PIX, sent=None, now=NOW)
    assert [step.passed for step in steps if step.name == "body"] == [None]


def test_rubbish_never_raises() -> None:
    for text in ("", ":", "a", "é: ü", "webhook-signature: v1,é", "x-owem-timestamp: 9" + "9" * 50):
        for dialect in Dialect:
            given = verifying.read_headers(text)
            verifying.check(Pasted(given, b"\xff", Secret("ação")), dialect, sent=None, now=NOW)


def test_a_long_comparison_is_quick() -> None:
    began = time.monotonic()
    assert verifying.first_difference(b"a" * 40_000 + b"b", b"a" * 40_000 + b"c") == 40_000
    assert time.monotonic() - began < 1
