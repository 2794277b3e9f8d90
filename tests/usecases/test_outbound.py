"""The guarded client against every fault a stranger's server can have (webhooks.md §8, §16.1)."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opentill.kernel.clock import Instant, from_datetime, to_datetime
from opentill.kernel.secret import Secret
from opentill.outbound import (
    AllowList,
    Answer,
    Outbound,
    OutboundRequest,
    Outcome,
    OutcomeClass,
    TlsProfile,
    outcome_of,
    redaction,
)
from opentill.outbound.client import POOLS_MAX
from tests.fakes.authority import Authority
from tests.fakes.dns import ScriptedDns
from tests.fakes.receiver import Received, Receiver, Reply

NOW = Instant(1_775_000_000_000_000)
SLACK_S = 1.0


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run everything on both event loops: production uses uvloop."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[Outbound]:
    """A client in development mode, that trusts the test authority and knows two names."""
    dns = ScriptedDns({"shop.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    async with Outbound(allow=AllowList.development(), roots=authority.roots, lookup=dns) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def post(url: str, **options: Any) -> OutboundRequest:
    options = {"timeout_s": 5.0, "plain_http": True, "body": b"{}", "keep_private_answer": True} | options
    return OutboundRequest("POST", url, **options)


async def answer_to(mode: str | Reply, client: Outbound, receiver: Receiver, **options: Any) -> Answer:
    receiver.script("/hook", mode)
    return await client.send(post(receiver.url("/hook"), **options))


# What goes out


async def test_a_request_goes_out_with_its_headers_in_order_and_its_bytes_unchanged(
    client: Outbound, receiver: Receiver
) -> None:
    headers = (("Content-Type", "application/json"), ("webhook-id", "evt_1"), ("X-Signature", "sha256=00"))
    answer = await client.send(post(receiver.url("/hook?a=1&b=%20"), headers=headers, body=b'{"\xc3\xa9":1}'))

    assert answer.outcome is Outcome.OK
    assert receiver.requests[0].head == (
        b"POST /hook?a=1&b=%%20 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        b"Content-Type: application/json\r\nwebhook-id: evt_1\r\nX-Signature: sha256=00\r\n"
        b"Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: OpenTill/1\r\nContent-Length: 8\r\n\r\n"
    ) % (receiver.port,)
    assert receiver.requests[0].body == b'{"\xc3\xa9":1}'


async def test_a_get_has_no_body_and_says_nothing_about_one(client: Outbound, receiver: Receiver) -> None:
    await client.send(OutboundRequest("GET", receiver.url("/cob"), (("User-Agent", "Bank/2"),), plain_http=True))
    assert receiver.requests[0].head == (
        b"GET /cob HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        b"User-Agent: Bank/2\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n"
    ) % (receiver.port,)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Expect", "TE"])
async def test_a_caller_cannot_set_headers_that_frame_the_message(
    name: str, client: Outbound, receiver: Receiver
) -> None:
    with pytest.raises(ValueError, match="not the caller's"):
        await client.send(post(receiver.url(), headers=((name, "1"),)))
    assert receiver.requests == []


@pytest.mark.parametrize(
    "header", [("X-A", "1\r\nX-B: 2"), ("X-A\r\nX-B", "1"), ("X-A", "1\n"), ("X-A", "\r"), ("X-A", "\0")]
)
async def test_a_header_cannot_smuggle_another_line(
    header: tuple[str, str], client: Outbound, receiver: Receiver
) -> None:
    with pytest.raises(ValueError, match=r"(?i)header"):
        await client.send(post(receiver.url(), headers=(header,)))
    assert receiver.requests == []


async def test_a_path_outside_ascii_is_escaped_once_and_escapes_are_left_alone(
    client: Outbound, receiver: Receiver
) -> None:
    await client.send(post(receiver.url("/ação/%2F..//x?q=é&r=%C3%A9")))
    assert receiver.requests[0].target == "/a%C3%A7%C3%A3o/%2F..//x?q=%C3%A9&r=%C3%A9"


async def test_an_ipv6_host_is_dialled_and_named_in_brackets(client: Outbound) -> None:
    async with Receiver(host="::1") as receiver:
        answer = await client.send(post(receiver.url("/hook")))
        assert (answer.outcome, answer.address) == (Outcome.OK, "::1")
        assert receiver.requests[0].header("Host") == f"[::1]:{receiver.port}"


# What comes back


async def test_an_answer_is_data_with_everything_the_attempt_log_needs(client: Outbound, receiver: Receiver) -> None:
    reply = Reply(201, [("Content-Type", "text/plain"), ("X-Twice", "1"), ("X-Twice", "2")], b"thanks")
    answer = await answer_to(reply, client, receiver)

    assert (answer.outcome, answer.outcome.kind, answer.status) == (Outcome.OK, OutcomeClass.DELIVERED, 201)
    assert answer.headers == (
        ("Content-Type", "text/plain"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("Content-Length", "6"),
    )
    assert (answer.body_kept, answer.body_bytes, answer.cut) == (b"thanks", 6, False)
    assert (answer.address, answer.reused, answer.tls) == ("127.0.0.1", False, None)
    assert answer.header("content-TYPE") == "text/plain"
    assert answer.error_text is None


async def test_the_phases_add_up_to_the_duration(client: Outbound, receiver: Receiver) -> None:
    answer = await answer_to("slow:0.2", client, receiver)
    assert answer.phases_us.first_byte > 150_000
    assert sum(answer.phases_us) <= answer.duration_us
    assert answer.duration_us - sum(answer.phases_us) < 1_000_000


async def test_the_first_three_phases_of_a_kept_connection_are_zero(client: Outbound, receiver: Receiver) -> None:
    first = await answer_to("ok", client, receiver)
    second = await answer_to("ok", client, receiver)
    assert first.phases_us.connect > 0
    assert second.phases_us[:3] == (0, 0, 0)
    assert (first.reused, second.reused, receiver.connections) == (False, True, 1)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.OK),
        (202, Outcome.OK),
        (204, Outcome.OK),
        (299, Outcome.OK),
        (300, Outcome.REDIRECT),
        (304, Outcome.REDIRECT),
        (308, Outcome.REDIRECT),
        (399, Outcome.REDIRECT),
        (400, Outcome.HTTP_4XX),
        (401, Outcome.HTTP_4XX),
        (408, Outcome.SLOW_DOWN),
        (410, Outcome.GONE),
        (429, Outcome.SLOW_DOWN),
        (499, Outcome.HTTP_4XX),
        (500, Outcome.HTTP_5XX),
        (502, Outcome.HTTP_5XX),
        (503, Outcome.SLOW_DOWN),
        (599, Outcome.HTTP_5XX),
        (600, Outcome.PROTOCOL),
        (999, Outcome.PROTOCOL),
    ],
)
async def test_the_status_decides_the_outcome(
    status: int, outcome: Outcome, client: Outbound, receiver: Receiver
) -> None:
    answer = await answer_to(Reply(status, body=b""), client, receiver)
    assert (answer.outcome, answer.status) == (outcome, status)
    assert outcome_of(status) is outcome


def test_every_outcome_has_its_class() -> None:
    assert {outcome.kind for outcome in Outcome} == set(OutcomeClass)
    assert Outcome("slow_down").kind is OutcomeClass.REJECTED
    assert Outcome("tls_certificate").kind is OutcomeClass.UNREACHABLE


@pytest.mark.parametrize(
    ("mode", "outcome", "status"),
    [
        ("reset", Outcome.RESET, None),
        ("empty_answer", Outcome.RESET, None),
        ("not_http", Outcome.PROTOCOL, None),
        ("endless_headers", Outcome.PROTOCOL, None),
        ("many_headers:101", Outcome.PROTOCOL, None),
        ("long_header:9000", Outcome.PROTOCOL, None),
        ("raw:HTTP/1.1 two hundred\r\n\r\n", Outcome.PROTOCOL, None),
        ("raw:HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Outcome.PROTOCOL, None),
        ("raw:HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", Outcome.PROTOCOL, None),
        ("raw:HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Outcome.PROTOCOL, None),
        ("switch", Outcome.PROTOCOL, 101),
        ("hang", Outcome.TIMEOUT_ANSWER, None),
        ("flood_1xx", Outcome.TIMEOUT_ANSWER, None),
        ("raw:HTTP/1.1 200 OK\r\nX-Half: a h", Outcome.TIMEOUT_ANSWER, None),
        ("many_headers:99", Outcome.OK, 200),
        ("long_header:8000", Outcome.OK, 200),
        ("interim", Outcome.OK, 200),
        ("chunked:hello", Outcome.OK, 200),
        ("http10", Outcome.OK, 200),
    ],
)
async def test_a_broken_head_is_named_and_an_odd_one_is_accepted(
    mode: str, outcome: Outcome, status: int | None, client: Outbound, receiver: Receiver
) -> None:
    timeout_s = 0.6 if outcome is Outcome.TIMEOUT_ANSWER else 8.0
    answer = await answer_to(mode, client, receiver, timeout_s=timeout_s)
    assert (answer.outcome, answer.status) == (outcome, status)
    assert answer.duration_us < (timeout_s + SLACK_S) * 1_000_000


@pytest.mark.parametrize(
    ("mode", "kept", "cut"),
    [
        ("hang_after_headers", b"", True),
        ("drip:50", None, True),
        ("endless_body", None, True),
        ("reset_after_headers", b"", True),
        ("reset_mid_body", b"half", True),
        ("half_close", b"half", True),
        ("bad_length", b"ok", False),
        ("bad_chunk", b"", True),
        ("raw:HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nbut something comes", b"", False),
        ("gzip_bomb", None, True),
        ("big_body:65536", None, True),
        ("big_body:65537", None, True),
        ("big_body:4096", b"b" * 4096, False),
        ("big_body:4097", b"b" * 4096, True),
    ],
)
async def test_a_2xx_is_a_success_whatever_its_body_is(
    mode: str, kept: bytes | None, cut: bool, client: Outbound, receiver: Receiver
) -> None:
    body_s = 0.5 if mode in ("hang_after_headers", "drip:50") else 8.0
    answer = await answer_to(mode, client, receiver, body_s=body_s, timeout_s=8.0)
    assert (answer.outcome, answer.status, answer.cut) == (Outcome.OK, 200, cut)
    assert kept is None or answer.body_kept == kept
    assert len(answer.body_kept) <= 4096
    assert answer.duration_us < (body_s + SLACK_S) * 1_000_000


async def test_a_body_is_read_for_two_seconds_and_64_kib_and_then_the_connection_is_closed(
    client: Outbound, receiver: Receiver
) -> None:
    slow = await answer_to("drip:20", client, receiver)
    assert 1_900_000 < slow.duration_us < 4_000_000
    endless = await answer_to("endless_body", client, receiver)
    assert 64 * 1024 <= endless.body_bytes < 512 * 1024
    await receiver.wait_until_idle()


async def test_an_endless_body_under_tls_is_dropped_at_once_and_not_politely(
    client: Outbound, authority: Authority
) -> None:
    async with Receiver(tls=authority.server("shop.test"), name="shop.test") as receiver:
        answer = await answer_to("endless_body", client, receiver)
        assert (answer.outcome, answer.cut) == (Outcome.OK, True)
        await receiver.wait_until_idle(within_s=0.8)


async def test_the_time_limit_covers_everything_and_a_status_line_still_decides(
    client: Outbound, receiver: Receiver
) -> None:
    answer = await answer_to("drip:20", client, receiver, timeout_s=0.5, body_s=30.0)
    assert answer.outcome is Outcome.OK
    assert answer.duration_us < (0.5 + SLACK_S) * 1_000_000


async def test_nothing_is_unpacked(client: Outbound, receiver: Receiver) -> None:
    packed = gzip.compress(b"secret")
    answer = await answer_to(Reply(headers=[("Content-Encoding", "gzip")], body=packed), client, receiver)
    assert answer.body_kept == packed


async def test_a_bank_s_answer_is_read_whole_up_to_a_mebibyte(client: Outbound, receiver: Receiver) -> None:
    whole = {"read_limit": 1_048_576, "keep_limit": 1_048_576, "body_s": 5.0}
    answer = await answer_to("big_body:1000000", client, receiver, **whole)
    assert (len(answer.body_kept), answer.cut) == (1_000_000, False)
    answer = await answer_to("big_body:2000000", client, receiver, **whole | {"read_limit": 9_999_999})
    assert (len(answer.body_kept), answer.cut) == (1_048_576, True)


async def test_huge_heads_are_kept_in_part(client: Outbound, receiver: Receiver) -> None:
    headers = [(f"X-{number}", "v" * 4_000) for number in range(50)]
    answer = await answer_to(Reply(500, headers), client, receiver)
    assert answer.status == 500
    assert 0 < sum(len(name) + len(value) for name, value in answer.headers) <= 16 * 1024


async def test_headers_are_text_that_every_store_takes(client: Outbound, receiver: Receiver) -> None:
    answer = await answer_to(Reply(500, [("X-Bytes", "\xff\xfe caf\xe9")]), client, receiver)
    assert answer.header("X-Bytes") == "\xff\xfe caf\xe9"
    assert answer.header("X-Bytes").encode("utf-8")  # no lone surrogates


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", None),
        ("-3", None),
        ("soon", None),
        ("1.5", None),
        ("١٢", None),
        ("Tue, 31 Mar 2026 23:34:20 GMT", 60),
        ("Tue, 31 Mar 2026 23:30:00 GMT", None),
        ("Tue, 31 Mar 2026 23:34:20", None),
    ],
)
def test_retry_after_is_whole_seconds_or_a_date_in_the_future(value: str, seconds: int | None) -> None:
    assert to_datetime(NOW).isoformat() == "2026-03-31T23:33:20+00:00"
    answer = Answer(outcome=Outcome.SLOW_DOWN, duration_us=1, retry_after=value)
    assert answer.retry_after_s(from_datetime(to_datetime(NOW))) == seconds


async def test_retry_after_is_seen_on_an_answer(client: Outbound, receiver: Receiver) -> None:
    answer = await answer_to("retry_after:120", client, receiver)
    assert (answer.outcome, answer.retry_after_s(NOW)) == (Outcome.SLOW_DOWN, 120)


# Connections


async def test_nobody_listening_is_refused(client: Outbound) -> None:
    async with Receiver() as gone:
        url = gone.url()
    answer = await client.send(post(url))
    assert (answer.outcome, answer.status, answer.error_text) == (Outcome.REFUSED, None, "The connection was refused.")


async def test_a_dead_kept_connection_is_dialled_again_only_for_what_may_be_repeated(
    client: Outbound, receiver: Receiver
) -> None:
    receiver.script("/hook", "ok", "reset", "ok", "reset", "ok")
    url = receiver.url("/hook")
    assert (await client.send(post(url))).outcome is Outcome.OK
    assert (await client.send(post(url))).outcome is Outcome.RESET
    assert (await client.send(post(url))).outcome is Outcome.OK

    answer = await client.send(post(url, repeatable=True))
    assert (answer.outcome, answer.reused, len(receiver.requests)) == (Outcome.OK, False, 5)


async def test_a_fresh_connection_that_breaks_is_not_repeated(client: Outbound, receiver: Receiver) -> None:
    answer = await answer_to("reset", client, receiver, repeatable=True)
    assert (answer.outcome, len(receiver.requests)) == (Outcome.RESET, 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_no_method_is_ever_repeated_by_itself(method: str, client: Outbound, receiver: Receiver) -> None:
    receiver.script("/cob", "ok", "reset", "ok")
    for outcome in (Outcome.OK, Outcome.RESET):
        request = OutboundRequest(method, receiver.url("/cob"), plain_http=True)
        assert (await client.send(request)).outcome is outcome
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("late", ["HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "?"])
async def test_what_a_server_sends_unasked_is_never_taken_for_the_next_answer(
    late: str, client: Outbound, receiver: Receiver
) -> None:
    receiver.script("/hook", f"unasked:{late}", "ok")
    first = await client.send(post(receiver.url("/hook")))
    await asyncio.sleep(0.15)
    second = await client.send(post(receiver.url("/hook")))
    assert (first.status, second.status, second.reused) == (200, 200, False)


async def test_a_second_answer_right_behind_a_body_is_never_taken_for_the_next_answer(
    client: Outbound, receiver: Receiver
) -> None:
    receiver.script("/hook", "behind:HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "ok")
    first = await client.send(post(receiver.url("/hook")))
    second = await client.send(post(receiver.url("/hook")))
    assert (first.status, second.status, second.reused) == (200, 200, False)


async def test_a_connection_on_which_a_request_is_still_under_way_serves_no_other(
    client: Outbound, receiver: Receiver
) -> None:
    answer = await answer_to("early:413", client, receiver, body=bytes(16_000_000))  # more than sockets hold
    again = await client.send(post(receiver.url("/other")))
    assert (answer.status, again.outcome, again.reused) == (413, Outcome.OK, False)


async def test_an_answer_that_comes_before_the_request_is_read_counts_and_leaves_no_connection_behind(
    client: Outbound, receiver: Receiver
) -> None:
    answer = await answer_to("early:413", client, receiver, body=b"x" * 900_000)
    assert (answer.outcome, answer.status) == (Outcome.HTTP_4XX, 413)
    await asyncio.sleep(0.2)
    again = await client.send(post(receiver.url("/other")))
    assert (again.outcome, again.reused) == (Outcome.OK, False)


async def test_sixty_four_calls_at_once_each_get_their_own_answer(client: Outbound) -> None:
    def echoing(request: Received) -> None:
        receiver.script(request.path, f"body:{request.path}")

    async with Receiver(check=echoing) as receiver:
        answers = await asyncio.gather(*(client.send(post(receiver.url(f"/{n}"))) for n in range(64)))
    assert [answer.body_kept.decode() for answer in answers] == [f"/{n}" for n in range(64)]


async def test_a_cancelled_call_leaves_no_connection_behind(client: Outbound, receiver: Receiver) -> None:
    receiver.script("/hook", "hang")
    task = asyncio.create_task(client.send(post(receiver.url("/hook"))))
    await receiver.wait_for(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await receiver.wait_until_idle()


async def test_an_attempt_that_runs_out_of_time_says_in_which_phase(client: Outbound, authority: Authority) -> None:
    async with Receiver(tls=authority.server("shop.test"), hang_accept=True, name="shop.test") as receiver:
        answer = await client.send(post(receiver.url(), timeout_s=0.5))
    assert (answer.outcome, answer.address) == (Outcome.TIMEOUT_TLS, "127.0.0.1")
    assert answer.phases_us.tls > 400_000
    assert answer.phases_us.first_byte == 0


async def test_closing_the_client_ends_what_is_under_way(authority: Authority, receiver: Receiver) -> None:
    receiver.script("/hook", "hang")
    client = Outbound(allow=AllowList.development())
    task = asyncio.create_task(client.send(post(receiver.url("/hook"))))
    await receiver.wait_for(1)
    await client.close()
    assert (await task).outcome is Outcome.RESET


async def test_closing_the_client_ends_look_ups_too() -> None:
    dns = ScriptedDns()
    dns.hang("slow.test")
    client = Outbound(lookup=dns)
    task = asyncio.create_task(client.send(post("https://slow.test/")))
    await asyncio.sleep(0.05)
    await client.close()
    dns.release()
    assert (await task).outcome is Outcome.DNS_FAILED


async def test_closing_the_client_also_ends_what_made_room_for_other_allow_lists(receiver: Receiver) -> None:
    receiver.script("/hook", "hang")
    client = Outbound(allow=AllowList.development())
    task = asyncio.create_task(client.send(post(receiver.url("/hook"))))
    await receiver.wait_for(1)
    await make_room(client)
    await client.close()
    assert (await task).outcome is Outcome.RESET


async def test_what_made_room_for_other_allow_lists_finishes_and_its_connection_is_not_kept(receiver: Receiver) -> None:
    receiver.script("/hook", "slow:0.3")
    async with Outbound(allow=AllowList.development()) as client:
        task = asyncio.create_task(client.send(post(receiver.url("/hook"))))
        await receiver.wait_for(1)
        await make_room(client)
        assert (await task).outcome is Outcome.OK
        await receiver.wait_until_idle()


async def make_room(client: Outbound) -> None:
    """Use as many allow lists as the client keeps connections for. None of them lets a call out."""
    for number in range(POOLS_MAX):
        allow = AllowList.parse([f"shop{number}.lan"])
        assert (await client.send(post("http://10.0.0.1/", allow=allow))).outcome is Outcome.BLOCKED_ADDRESS


# Names


async def test_a_name_that_does_not_exist_fails_and_is_not_asked_for_again_at_once() -> None:
    dns = ScriptedDns()
    async with Outbound(lookup=dns) as client:
        answers = [await client.send(post("https://nowhere.test/")) for _ in range(3)]
    assert {answer.outcome for answer in answers} == {Outcome.DNS_FAILED}
    assert dns.asked == ["nowhere.test"]


async def test_a_slow_name_runs_out_of_time_and_slows_nobody_else(receiver: Receiver) -> None:
    dns = ScriptedDns({"shop.test": ["127.0.0.1"]})
    dns.hang("slow.test")
    async with Outbound(allow=AllowList.development(), lookup=dns) as client:
        slow = asyncio.create_task(client.send(post("https://slow.test/", timeout_s=2.0, owner=1)))
        await asyncio.sleep(0.05)
        quick = await client.send(post(f"http://shop.test:{receiver.port}/", owner=2))
        assert (quick.outcome, slow.done()) == (Outcome.OK, False)
        assert (await slow).outcome is Outcome.TIMEOUT_DNS
        dns.release()


async def test_one_owner_has_at_most_four_look_ups_running_and_another_still_gets_through(receiver: Receiver) -> None:
    dns = ScriptedDns({"shop.test": ["127.0.0.1"]})
    names = [f"slow{number}.test" for number in range(12)]
    for name in names:
        dns.hang(name)
    async with Outbound(allow=AllowList.development(), lookup=dns) as client:
        # The greedy one also asks for the other's name, behind its own slow ones.
        greedy = [post(f"https://{name}/", timeout_s=0.6, owner=1) for name in [*names, "shop.test"]]
        tasks = [asyncio.create_task(client.send(request)) for request in greedy]
        await asyncio.sleep(0.3)
        answer = await client.send(post(f"http://shop.test:{receiver.port}/", owner=2))
        assert answer.outcome is Outcome.OK
        outcomes = {(await task).outcome for task in tasks[:12]}
        assert outcomes == {Outcome.TIMEOUT_DNS}
        # Nobody waits any more, but the resolver still holds the threads: the places stay taken.
        late = await client.send(post("https://late.test/", timeout_s=0.3, owner=1))
        assert late.outcome is Outcome.TIMEOUT_DNS
        assert sorted(dns.asked) == ["shop.test", *names[:4]]
        dns.release()
        await tasks[12]


async def test_many_callers_share_one_look_up(receiver: Receiver) -> None:
    dns = ScriptedDns({"shop.test": ["127.0.0.1"]})
    async with Outbound(allow=AllowList.development(), lookup=dns) as client:
        url = f"http://shop.test:{receiver.port}/"
        await asyncio.gather(*(client.send(post(url, owner=number)) for number in range(20)))
    assert dns.asked == ["shop.test"]


async def test_a_thousand_addresses_are_judged_but_not_all_dialled() -> None:
    addresses = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    dns = ScriptedDns({"many.test": addresses, "bad.test": [*addresses, "10.0.0.1"]})
    async with Receiver() as gone:
        port = gone.port
    async with Outbound(allow=AllowList.development(), lookup=dns) as client:
        answer = await client.send(post(f"http://many.test:{port}/"))
        assert answer.outcome is Outcome.REFUSED
        assert answer.duration_us < 3_000_000
        assert (await client.send(post(f"http://bad.test:{port}/"))).outcome is Outcome.BLOCKED_ADDRESS


async def test_the_ninth_address_is_not_dialled(receiver: Receiver) -> None:
    silent = [f"127.0.0.{number}" for number in range(2, 10)]
    dns = ScriptedDns({"eight.test": [*silent[:7], "127.0.0.1"], "nine.test": [*silent, "127.0.0.1"]})
    async with Outbound(allow=AllowList.development(), lookup=dns) as client:
        outcomes = [
            (await client.send(post(f"http://{name}:{receiver.port}/"))).outcome for name in ("eight.test", "nine.test")
        ]
    assert outcomes == [Outcome.OK, Outcome.REFUSED]


async def test_the_next_address_is_tried_when_the_first_refuses(receiver: Receiver) -> None:
    dns = ScriptedDns({"shop.test": ["127.0.0.77", "127.0.0.1"]})
    async with Outbound(allow=AllowList.development(), lookup=dns) as client:
        answer = await client.send(post(f"http://shop.test:{receiver.port}/"))
    assert (answer.outcome, answer.address) == (Outcome.OK, "127.0.0.1")


# TLS


async def test_tls_is_checked_against_the_host_of_the_url_and_its_facts_are_kept(
    client: Outbound, authority: Authority
) -> None:
    async with Receiver(tls=authority.server("shop.test"), name="shop.test") as receiver:
        answer = await client.send(post(receiver.url("/hook")))
    assert answer.outcome is Outcome.OK
    assert answer.tls is not None
    assert answer.tls.version == "TLSv1.3"
    assert answer.tls.cipher
    assert "trustme" in answer.tls.issuer
    assert answer.tls.expires_at is not None
    assert answer.tls.expires_at > NOW
    assert answer.phases_us.tls > 0


@pytest.mark.checklist("X49")
@pytest.mark.parametrize("fault", ["wrong_name", "expired", "self_signed"])
async def test_a_certificate_that_is_not_valid_stops_the_attempt(
    fault: str, client: Outbound, authority: Authority
) -> None:
    contexts = {
        "wrong_name": lambda: authority.server("other.test"),
        "expired": lambda: authority.expired("shop.test"),
        "self_signed": lambda: authority.self_signed("shop.test"),
    }
    async with Receiver(tls=contexts[fault](), name="shop.test") as receiver:
        answer = await client.send(post(receiver.url()))
        assert (answer.outcome, receiver.requests) == (Outcome.TLS_CERTIFICATE, [])
        assert (answer.error_text or "").startswith("The certificate is not valid: ")
        assert answer.phases_us.tls > 0 or answer.phases_us.connect > 0


async def test_a_certificate_is_good_for_its_own_name_only(client: Outbound, authority: Authority) -> None:
    async with Receiver(tls=authority.server("shop.test"), name="other.test") as receiver:
        assert (await client.send(post(receiver.url()))).outcome is Outcome.TLS_CERTIFICATE
        assert (await client.send(post(f"https://shop.test:{receiver.port}/"))).outcome is Outcome.OK


async def test_old_tls_and_no_tls_fail_the_handshake(client: Outbound, authority: Authority) -> None:
    async with Receiver(tls=authority.tls_1_1("shop.test"), name="shop.test") as receiver:
        assert (await client.send(post(receiver.url()))).outcome is Outcome.TLS_FAILED
    async with Receiver(name="shop.test") as plain:
        answer = await client.send(post(f"https://shop.test:{plain.port}/", timeout_s=1.0))
        assert answer.outcome in (Outcome.TLS_FAILED, Outcome.TIMEOUT_TLS)
        assert plain.requests == []


async def test_a_call_with_its_own_roots_trusts_nobody_else(client: Outbound, authority: Authority) -> None:
    theirs = Authority()
    profile = TlsProfile(roots=theirs.roots)
    async with Receiver(tls=theirs.server("shop.test"), name="shop.test") as receiver:
        assert (await client.send(post(receiver.url()))).outcome is Outcome.TLS_CERTIFICATE
        assert (await client.send(post(receiver.url(), tls=profile))).outcome is Outcome.OK
    async with Receiver(tls=authority.server("shop.test"), name="shop.test") as receiver:
        assert (await client.send(post(receiver.url(), tls=profile))).outcome is Outcome.TLS_CERTIFICATE


async def test_a_bank_that_wants_our_certificate_gets_it_and_kept_connections_are_not_mixed(
    client: Outbound, authority: Authority
) -> None:
    certificate, key = authority.client_certificate("opentill.test")
    profile = TlsProfile(certificate=certificate, key=Secret(key))
    async with Receiver(tls=authority.server_wanting_certificates("shop.test"), name="shop.test") as bank:
        assert (await client.send(post(bank.url(), tls=profile))).outcome is Outcome.OK
        without = await client.send(post(bank.url()))
        assert without.outcome in (Outcome.TLS_FAILED, Outcome.RESET)
        assert len(bank.requests) == 1


@pytest.mark.parametrize(
    "profile",
    [
        TlsProfile(roots="not PEM"),
        TlsProfile(certificate="not PEM"),
        TlsProfile(roots="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ],
)
async def test_a_profile_that_cannot_be_read_is_an_outcome(
    profile: TlsProfile, client: Outbound, authority: Authority
) -> None:
    async with Receiver(tls=authority.server("shop.test"), name="shop.test") as receiver:
        answer = await client.send(post(receiver.url(), tls=profile))
        assert (answer.outcome, receiver.requests) == (Outcome.TLS_FAILED, [])
        assert "PEM" in (answer.error_text or "") or "cannot be read" in (answer.error_text or "")


def test_a_profile_does_not_print_its_key() -> None:
    assert "BEGIN" not in repr(TlsProfile(key=Secret("-----BEGIN PRIVATE KEY-----")))


# Redaction


def test_what_logs_show_holds_no_credentials() -> None:
    sent = (("Authorization", "Bearer x"), ("X-Key", "k"), ("X-Signature", "s"))
    assert redaction.request_headers(sent, {"x-key"}) == (
        ("Authorization", "•••"),
        ("X-Key", "•••"),
        ("X-Signature", "s"),
    )
    names = ["Set-Cookie", "authorization", "Proxy-Authenticate", "WWW-Authenticate", "Date"]
    shown = redaction.answer_headers([(name, "v") for name in names])
    assert [value for _, value in shown] == ["•••", "•••", "•••", "•••", "v"]


async def test_nothing_is_logged_by_the_libraries_beneath(
    client: Outbound, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for mode in ("ok", "reset", "not_http", "bad_chunk"):
            await answer_to(mode, client, receiver)
    assert caplog.records == []
