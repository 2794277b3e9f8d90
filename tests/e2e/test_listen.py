"""`opentill listen` and `opentill trigger` beside a running server: what happens there arrives here, verified."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from standardwebhooks import Webhook

from opentill.cli.demo.receiver import Delivery, Receiver
from tests.e2e.server import OPENTILL, Server
from tests.e2e.test_command_line import PLAIN, opentill

ARRIVES_S = 20


@contextmanager
def listening(server: Server, receiver: Receiver, *options: str) -> Iterator[str]:
    """Run `opentill listen`; the value is the secret it printed."""
    command = [OPENTILL, "listen", "--url", server.url, "--key", server.shop["merchant_api_key"]]
    process = subprocess.Popen(
        [*command, "--forward", f"{receiver.address}/hook", *options], stdout=subprocess.PIPE, text=True, env=PLAIN
    )
    assert process.stdout is not None
    printed = ""
    while "Secret: " not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    try:
        yield re.findall(r"Secret: (\S+)", printed)[0]
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert "The feed is closed." in rest


def triggered(server: Server, event: str, *options: str) -> "subprocess.CompletedProcess[str]":
    shop = server.shop
    who = [
        "--key",
        shop["merchant_api_key"],
        "--client-id",
        shop["client_id"],
        "--client-secret",
        shop["client_secret"],
    ]
    return opentill("trigger", event, "--url", server.url, *who, *options)


def named(event: str) -> object:
    return lambda delivery: json.loads(delivery.body)["type"] == event


@pytest.mark.parametrize(
    ("event", "arrives"),
    [
        ("payment.completed", "payment.completed"),
        ("payment.cancelled", "payment.cancelled"),
        ("pix.charge.paid", "payment.completed"),
    ],
)
def test_what_is_triggered_arrives_with_a_valid_signature(server: Server, event: str, arrives: str) -> None:
    with Receiver() as receiver, listening(server, receiver, "--dialect", "standard") as secret:
        done = triggered(server, event)
        assert done.returncode == 0, done.stderr
        told = receiver.wait_for(named(arrives), timeout_s=ARRIVES_S)  # type: ignore[arg-type]
        assert told is not None
        Webhook(secret).verify(told.body, told.headers)


def test_what_the_pix_api_makes_can_be_triggered_too(server: Server) -> None:
    wanted = ["refund.failed", "dispute.resolved", "payout.failed", "payout.returned", "return.received"]
    with Receiver() as receiver, listening(server, receiver, "--dialect", "standard"):
        for event in wanted:
            done = triggered(server, event)
            assert done.returncode == 0, done.stderr
        for event in wanted:
            assert receiver.wait_for(named(event), timeout_s=ARRIVES_S) is not None, event  # type: ignore[arg-type]


def test_an_event_of_the_pix_api_needs_a_credential_of_it(server: Server) -> None:
    done = opentill("trigger", "payout.failed", "--url", server.url, "--key", server.shop["merchant_api_key"])
    assert done.returncode == 2
    assert "--client-id" in done.stderr


def test_only_the_events_that_were_asked_for_are_forwarded(server: Server) -> None:
    with Receiver() as receiver, listening(server, receiver, "--dialect", "standard", "--event", "customer.*"):
        assert triggered(server, "payment.completed").returncode == 0
        assert receiver.wait_for(named("customer.created"), timeout_s=ARRIVES_S) is not None  # type: ignore[arg-type]
        time.sleep(1)
        assert receiver.wait_for(lambda d: not _is_customer(d), timeout_s=0.1) is None


def _is_customer(delivery: Delivery) -> bool:
    return str(json.loads(delivery.body)["type"]).startswith("customer.")


def test_an_event_that_cannot_be_triggered_is_refused_with_those_that_can(server: Server) -> None:
    done = triggered(server, "payment.exploded")
    assert done.returncode == 2
    assert "payment.completed" in done.stderr


def test_a_gateway_that_is_not_there_is_named(server: Server) -> None:
    done = opentill("trigger", "payment.pending", "--url", "http://127.0.0.1:9", "--key", "op_x")
    assert done.returncode == 2
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_teaches(server: Server) -> None:
    for command, words in (("listen", "--forward"), ("trigger", "payment.completed"), ("portal", "link")):
        shown = opentill(command, "--help")
        assert shown.returncode == 0
        assert words in shown.stdout
    assert server.url


def test_a_portal_link_opens_the_portal_of_the_running_server(server: Server) -> None:
    import urllib.error
    import urllib.request

    feed = server.calls("/api/v1/webhooks/feeds", {"dialect": "standard"})["data"]
    made = opentill("portal", "link", server.shop["merchant_id"], "--endpoint", feed["webhook_id"], data=server.data)
    assert made.returncode == 0, made.stderr
    link = made.stdout.strip()
    path = link[link.index("/portal/") :]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(server.url + path) as page:
        assert page.geturl() == f"{server.url}/portal/"
        assert feed["webhook_id"] in page.read().decode()
    foreign = opentill("portal", "link", server.shop["merchant_id"], "--endpoint", "wh_000000000000", data=server.data)
    assert foreign.returncode == 2
