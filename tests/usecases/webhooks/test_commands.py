"""`opentill webhooks`: what the panel does for endpoints, at the command line (webhooks.md §13)."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opentill.cli import app
from opentill.cli.prepare import prepare
from opentill.cli.webhooks.choices import READ
from opentill.cli.webhooks.deliveries import Log
from opentill.db import Tx, open_database
from opentill.events import Event, record
from opentill.kernel.clock import SystemClock
from opentill.kernel.errors import Invalid, Refused
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.master_keys import open_keyring
from opentill.merchants import service as merchants
from opentill.settings import Settings
from opentill.webhooks import partitions, planning
from opentill.webhooks.entrusted import Entrusted
from opentill.webhooks.model import (
    AmountFormat,
    Condition,
    DeliveryState,
    Options,
    Ordering,
    PayloadStyle,
    Payments,
    SignatureFormat,
)
from opentill.webhooks.service import LimitReached
from tests.contract.webhooks import documents as doc
from tests.fakes.authority import Authority

URL = "http://127.0.0.1:9999/hook"


class Terminal:
    """Whoever types commands, about one merchant with one event."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings.from_environment(data=data)
        prepare(self.settings)
        self.clock = SystemClock()
        self.ids, self.keyring = SystemIds(self.clock), open_keyring(self.settings)
        self.merchant = self.does(
            lambda tx: merchants.create_merchant(
                tx, "Loja", mode=Mode.SANDBOX, ids=self.ids, keyring=self.keyring, now=self.clock.now()
            )
        )
        self.does(lambda tx: partitions.keep_ahead(tx, now=self.clock.now()))

    def does(self, work: Callable[[Tx], Any]) -> Any:
        async def write() -> Any:
            async with open_database(self.settings.database_url) as database:
                return await database.write(work)

        return asyncio.run(write())

    def happens(self, times: int = 1) -> None:
        event = Event(
            type="payment.completed",
            owner=self.merchant.owner,
            object_type="payment",
            object_id="0197f3c2-0000-7000-8000-000000000001",
            at=self.clock.now(),
            document={"merchant": doc.MERCHANT, "payment": doc.payment_at("payment.completed", "p-1")},
            merchant_type="payment.completed",
        )
        self.does(lambda tx: [record(tx, event, ids=self.ids) for _ in range(times)])
        self.does(lambda tx: planning.plan(tx, ids=self.ids, keyring=self.keyring, now=self.clock.now()))

    def types(self, command: str, *words: str, of_merchant: bool = True) -> str:
        about = [self.merchant.uuid] if of_merchant else []
        typed = ["webhooks", command, *about, *words, "--data", str(self.settings.data)]
        found = CliRunner().invoke(app, typed)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        assert found.exit_code == 0, found.output
        return found.output

    def adds(self) -> str:
        return str(self.types("add", URL).split()[0])

    def options(self) -> Options:
        """Return what is chosen for the only endpoint."""
        [stored] = self.does(lambda tx: tx.all("select options from webhook_endpoint"))
        return Options.from_json(stored["options"])

    def audited(self) -> list[tuple[str, str]]:
        """Return who did what."""
        rows = self.does(lambda tx: tx.all("select actor, action from audit_entry order by id"))
        return [(row["actor"], row["action"]) for row in rows]


@pytest.fixture
def terminal(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("OPENTILL_DATABASE_URL", database_url)
    return Terminal(tmp_path)


def test_an_endpoint_is_added_changed_listed_paused_activated_and_deleted(terminal: Terminal) -> None:
    added = terminal.types("add", URL, "--set", "events=payment.*")
    endpoint = added.split()[0]
    assert re.search(r"^secret whsec_\S+$", added, re.M)
    assert "http://other.example/" in terminal.types("edit", endpoint, "--url", "http://other.example/")
    assert "paused" in terminal.types("pause", endpoint)
    terminal.happens()
    assert "held 1" in terminal.types("endpoints")
    assert "active" in terminal.types("activate", endpoint, "--recover", "all")
    rotated = terminal.types("rotate", endpoint)
    assert re.search(r"^secret whsec_\S+$", rotated, re.M)
    assert rotated.splitlines()[0] not in added
    terminal.types("rm", endpoint)
    assert terminal.types("endpoints") == ""


CHOSEN: dict[str, tuple[str, Any]] = {  # what is typed for each option, and what it means
    "events": ("payment.*,refund.created", ("payment.*", "refund.created")),
    "excepted": ("payment.pending", ("payment.pending",)),
    "conditions": ('[{"field": "amount", "op": "gte", "value": "10"}]', (Condition("amount", "gte", "10"),)),
    "payments": ("own", Payments.OWN),
    "amount_format": ("number", AmountFormat.NUMBER),
    "signature_format": ("bare", SignatureFormat.BARE),
    "payload_style": ("thin", PayloadStyle.THIN),
    "standard_headers": ("false", False),
    "asymmetric": ("false", False),
    "ordering": ("strict", Ordering.STRICT),
    "schedule": ("60,300", (60, 300)),
    "timeout_s": ("5", 5),
    "max_in_flight": ("7", 7),
    "rate_per_s": ("2.5", 2.5),
    "burst": ("9", 9),
    "allow_insecure": ("true", True),
    "ca_bundle": ("roots.pem", Authority().roots),
    "notify": ("ana@shop.example,bia@shop.example", ("ana@shop.example", "bia@shop.example")),
    "description": ("ours", "ours"),
}


def test_every_option_can_be_chosen_and_set_back(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("roots.pem").write_text(CHOSEN["ca_bundle"][1])
    endpoint = terminal.adds()
    assert set(CHOSEN) == set(READ) == set(Options.__dataclass_fields__) - {"payload_version"}

    terminal.types("edit", endpoint, *(w for name, (typed, _) in CHOSEN.items() for w in ("--set", f"{name}={typed}")))
    assert terminal.options() == Options(**{name: meant for name, (_, meant) in CHOSEN.items()})
    terminal.types("edit", endpoint, *(word for name in CHOSEN for word in ("--set", f"{name}=")))
    assert terminal.options() == Options()


def test_headers_and_credentials_are_entrusted_from_a_file(terminal: Terminal, tmp_path: Path) -> None:
    endpoint = terminal.adds()
    file = tmp_path / "entrusted.json"
    file.write_text('{"headers": {"X-Shop": "7"}, "auth": {"kind": "bearer", "token": "t-1"}}')
    terminal.types("entrust", endpoint, str(file))
    [stored] = terminal.does(lambda tx: tx.all("select id, sealed from webhook_endpoint"))
    opened = Entrusted.opened(stored["sealed"], terminal.keyring, stored["id"])
    assert (opened.headers, opened.authorization()) == ((("X-Shop", "7"),), "Bearer t-1")


def test_deliveries_and_events_are_listed_and_sent_again(terminal: Terminal) -> None:
    endpoint = terminal.adds()
    terminal.happens()
    assert "breaker closed" in terminal.types("lanes", of_merchant=False)
    assert "payment.completed" in terminal.types("events")
    assert terminal.types("log", "--state", "dead") == ""
    delivery = terminal.types("log", "--endpoint", endpoint).split()[0]
    terminal.does(lambda tx: tx.run("update webhook_delivery set state = 3, finished_at = 1"))
    assert delivery in terminal.types("resend", delivery)
    assert "due" in terminal.types("log")

    job = terminal.types("recover", endpoint, "--since", "2026-01-01T00:00:00").split()[0]
    assert f"{job}  missing  running" in terminal.types("replays", endpoint)
    assert "cancelled" in terminal.types("replays", endpoint, "--cancel", job)
    assert "running" in terminal.types("replays", endpoint, "--resume", job)
    assert terminal.types("replay", endpoint, "--since", "2026-01-01", "--yes").startswith("rpl_")


def test_each_delivery_is_followed_once_however_many_are_made_between_two_looks(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentill.cli.webhooks.deliveries.PAGE_ROWS_MAX", 2)
    terminal.adds()
    terminal.happens(3)
    followed = Log(terminal.merchant.owner)
    seen = [row.id for row in terminal.does(lambda tx: followed.newest(tx, 2))]
    for made in (5, 0, 1):
        terminal.happens(made)
        fresh = [row.id for row in terminal.does(followed.fresh)]
        assert len(fresh) == made
        seen += fresh
    stored = [row["id"] for row in terminal.does(lambda tx: tx.all("select id from webhook_delivery order by id"))]
    assert seen == stored[1:]


def test_a_delivery_that_comes_to_light_after_a_later_one_is_followed_too(terminal: Terminal) -> None:
    terminal.adds()
    terminal.happens()
    followed = Log(terminal.merchant.owner, states=[DeliveryState.DUE])
    [first] = [row.id for row in terminal.does(lambda tx: followed.newest(tx, 20))]
    terminal.happens(2)
    # One whose transaction is not over cannot be seen, as one of another state.
    late = first + 1
    for state, comes in ((DeliveryState.DEAD, late + 1), (DeliveryState.DUE, late)):
        terminal.does(
            lambda tx, state=state: tx.run(
                "update webhook_delivery set state = :state where id = :id", state=int(state), id=late
            )
        )
        assert [row.id for row in terminal.does(followed.fresh)] == [comes]
    assert terminal.does(followed.fresh) == []


def test_keys_are_published_at_once_and_sign_later_unless_the_old_ones_are_revoked(terminal: Terminal) -> None:
    terminal.adds()
    (first,) = terminal.types("keys").splitlines()
    both = terminal.types("keys", "--rotate").splitlines()
    assert len(both) == 2
    assert first.split()[0] in "".join(both)
    (only,) = terminal.types("keys", "--revoke").splitlines()
    assert only.split()[0] not in "".join(both)


def test_what_cannot_be_planned_is_planned_again(terminal: Terminal) -> None:
    terminal.happens()
    terminal.does(lambda tx: tx.run("update event set plan_state = 2"))
    assert terminal.types("replan", of_merchant=False).startswith("1 events")


def test_a_test_says_what_became_of_it(terminal: Terminal) -> None:
    endpoint = terminal.adds()
    with pytest.raises(Refused, match=r"webhooks\.allow"):
        terminal.types("test", endpoint)
    assert terminal.audited()[-1] == ("console", "webhook.test")


def test_as_many_endpoints_are_added_as_the_settings_allow(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENTILL_PIX_WEBHOOKS_MAX_ENDPOINTS", "1")
    terminal.types("add", "https://loja.example/1", "--dialect", "pix")
    with pytest.raises(LimitReached):
        terminal.types("add", "https://loja.example/2", "--dialect", "pix")
    monkeypatch.setenv("OPENTILL_WEBHOOKS_ENDPOINTS_MAX", "1")
    with pytest.raises(LimitReached):
        terminal.adds()


def test_the_extra_events_of_pix_are_for_who_opened_them(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ("--set", "events=pix.refund.failed")
    with pytest.raises(Invalid):
        terminal.types("add", "https://loja.example/1", "--dialect", "pix", *wanted)
    endpoint = terminal.types("add", "https://loja.example/1", "--dialect", "pix").split()[0]
    with pytest.raises(Invalid):
        terminal.types("edit", endpoint, *wanted)
    monkeypatch.setenv("OPENTILL_PIX_WEBHOOKS_EXTRA_EVENTS", "true")
    terminal.types("edit", endpoint, *wanted)
    assert terminal.options().events == ("pix.refund.failed",)


def test_jobs_that_send_again_go_at_the_pace_of_the_settings(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENTILL_WEBHOOKS_REPLAY_RATE", "7")
    terminal.types("recover", terminal.adds())
    [job] = terminal.does(lambda tx: tx.all("select rate_per_s from webhook_replay"))
    assert job["rate_per_s"] == 7


def test_an_operational_endpoint_is_added_shown_changed_and_tested_as_others_are(terminal: Terminal) -> None:
    added = terminal.types("add", URL, "--operational", "--set", "events=endpoint.disabled")
    endpoint = added.split()[0]
    assert f"{endpoint}  operational  active  {URL}" in added
    assert f"{endpoint}  operational  paused" in terminal.types("pause", endpoint)
    assert f"{endpoint}  operational" in terminal.types("endpoints")
    terminal.types("activate", endpoint)
    terminal.types("edit", endpoint, "--set", "events=")
    terminal.happens()
    assert terminal.types("log") == ""
    with pytest.raises(Refused, match=r"webhooks\.allow"):
        terminal.types("test", endpoint)
    terminal.types("rm", endpoint)
    assert terminal.types("endpoints") == ""


def test_a_link_to_the_portal_lives_as_long_as_the_settings_allow(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENTILL_WEBHOOKS_PORTAL_LINK_MAX_DAYS", "2")
    about = ["portal", "link", terminal.merchant.uuid, "--endpoint", terminal.adds(), "--data"]
    about.append(str(terminal.settings.data))
    assert CliRunner().invoke(app, [*about, "--days", "2"]).exit_code == 0
    assert isinstance(CliRunner().invoke(app, [*about, "--days", "3"]).exception, Invalid)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", URL, "--dialect", "latin"), "latin is no dialect"),
        (("log", "--state", "lost"), "lost is no state"),
        (("activate", "wh_1", "--recover", "since"), "neither none, all nor since"),
        (("replay", "wh_1", "--since", "yesterday"), "yesterday is no instant"),
        (("pause", "wh_1"), "Webhook endpoint not found"),
        (("add", URL, "--set", "colour=red"), "colour is no option"),
        (("add", URL, "--set", "timeout_s=soon"), "timeout_s cannot be read"),
        (("add", URL, "--set", 'conditions=[{"field":1,"op":[],"value":2}]'), "unknown field 1"),
        (("entrust", "wh_1", "/nowhere.json"), "cannot be read"),
        (("keys", "--rotate", "--revoke"), "--rotate and --revoke cannot be done together"),
        (
            ("replays", "wh_1", "--cancel", "rpl_1", "--resume", "rpl_2"),
            "--cancel and --resume cannot be done together",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(terminal: Terminal, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused, match=said):
        terminal.types(*words)
