"""No URL a stranger writes makes OpenTill speak to a place it must not (webhooks.md §7, §16.6).

Canaries listen on loopback and on this machine's own addresses, on both protocols; after every test they must have
seen nobody. Names are answered by a scripted resolver. No test sends anything beyond this machine.
"""

import ast
import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentill.main import outbound_of
from opentill.outbound import (
    AllowList,
    Answer,
    BadEntry,
    EgressProxy,
    Outbound,
    OutboundRequest,
    Outcome,
    Ports,
)
from opentill.outbound.addresses import EVERYTHING, ROWS, Row, Table, judge
from opentill.outbound.dial import RefusedSocket, judged_socket
from opentill.outbound.guard import Guard, is_own_address
from opentill.outbound.model import KEPT_BYTES_DEFAULT, READ_BYTES_DEFAULT
from opentill.outbound.names import ANSWER_KEPT_S, Names, NoSuchName
from opentill.outbound.refusals import Refusal
from opentill.outbound.urls import Target, read_url
from opentill.settings import BadSettingError, Settings
from tests.fakes.authority import Authority
from tests.fakes.canary import Canary
from tests.fakes.dns import ScriptedDns
from tests.fakes.proxy import TunnelProxy
from tests.fakes.receiver import Receiver, Reply

pytestmark = pytest.mark.bar("S1")

SOURCE = Path(__file__).parents[2] / "src" / "opentill"

# The samples of webhooks.md §7.4.
# fmt: off
REFUSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 127.255.255.254
    169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.192 192.0.2.1
    192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
    ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1 100::1
    2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::
    2002:808:808:: 3fff::1 3fff:fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fd20:ce::254 fdff::1 fe80::1 febf::1
    fec0::1 ff02::1 ff0e::1
""".split()  # noqa: SIM905 - read as the document shows it
ALLOWED = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 169.253.255.255
    169.255.0.1 168.63.129.15 168.63.129.17 172.15.255.255 172.32.0.1 191.255.255.255 192.0.1.1 192.0.3.1 192.88.98.1
    192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 203.0.112.1 203.0.114.1 223.255.255.255 2000::1 2001:200::1
    2001:4860:4860::8888 2001:db7::1 2001:db9::1 2003::1 2400:cb00::1 2606:4700:4700::1111 3ffe::1 3fff:1000::1
""".split()  # noqa: SIM905

# The table of webhooks.md §7.4, written a second time.
LOOPBACK = ("127.0.0.0/8", "::1/128")
NEVER = """
    0.0.0.0/8 168.63.129.16/32 169.254.0.0/16 100.100.100.200/32 192.0.0.192/32 224.0.0.0/3 ::/8 2001::/32 2002::/16
    fd00:ec2::/32 fd20:ce::/32 fe80::/10 fec0::/10 ff00::/8
""".split()  # noqa: SIM905
REFUSED_NETWORKS = """
    10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 2001::/23 2001:db8::/32 3fff::/20
""".split()  # noqa: SIM905
# fmt: on
GLOBAL_V6 = ip_network("2000::/3")


def expected(text: str, allow: Sequence[str] = ()) -> str | None:
    """Judge slowly and plainly, network by network."""
    address = ip_address(text)
    is_opened = any(address in ip_network(network) for network in allow)
    for network in LOOPBACK:
        if address in ip_network(network):
            return None if is_opened else f"loopback {network}"
    for network in NEVER:
        if address in ip_network(network):
            return f"never {network}"
    if is_opened:
        return None
    for network in REFUSED_NETWORKS:
        if address in ip_network(network):
            return f"refused {network}"
    return "refused outside 2000::/3" if address.version == 6 and address not in GLOBAL_V6 else None


def edges(network: str) -> Iterator[str]:
    """Yield the first, a middle and the last address of a network, and its neighbours on both sides."""
    net = ip_network(network)
    kind = IPv4Address if net.version == 4 else IPv6Address
    first, last, end = int(net[0]), int(net[-1]), 2**net.max_prefixlen
    for number in (first - 1, first, (first + last) // 2, last, last + 1):
        if 0 <= number < end:
            yield str(kind(number))


EDGES = sorted({edge for network in (*LOOPBACK, *NEVER, *REFUSED_NETWORKS, "2000::/3") for edge in edges(network)})


def own_addresses() -> list[str]:
    """Return addresses of this machine that are not loopback, one of each protocol where there is one."""
    found = []
    for family, far in ((socket.AF_INET, "203.0.114.1"), (socket.AF_INET6, "2001:db9::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))  # sends nothing
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return found


OWN = own_addresses()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """The canary of 127.0.0.1, with others at the same port on ::1 and on this machine's own addresses."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Canary("127.0.0.1"))
        others = [await stack.enter_async_context(Canary(host, first.port)) for host in ("::1", *OWN)]
        yield first
        await asyncio.sleep(0)
        assert [(bird.host, bird.connections) for bird in (first, *others) if bird.connections] == []


@pytest.fixture
def dns() -> ScriptedDns:
    return ScriptedDns()


@pytest.fixture
async def client(dns: ScriptedDns) -> AsyncIterator[Outbound]:
    """A client as it is installed: nothing is opened."""
    async with Outbound(lookup=dns) as client:
        yield client


async def send(client: Outbound, url: str, **options: Any) -> Answer:
    options = {"plain_http": True, "timeout_s": 3.0} | options
    return await client.send(OutboundRequest("POST", url, body=b"{}", **options))


def url_of(host: str, port: int, scheme: str = "http") -> str:
    return f"{scheme}://[{host}]:{port}/hook" if ":" in host else f"{scheme}://{host}:{port}/hook"


# The table


@pytest.mark.checklist("M51")
@pytest.mark.parametrize("address", REFUSED)
def test_a_sample_that_must_be_refused_is_refused(address: str) -> None:
    assert judge(address) == expected(address) is not None


@pytest.mark.parametrize("address", ALLOWED)
def test_a_sample_that_is_allowed_is_allowed(address: str) -> None:
    assert judge(address) is None
    assert isinstance(Guard().check_url(url_of(address, 443, "https"), plain_http=False), Target)


@pytest.mark.checklist("AG1")
@pytest.mark.parametrize("address", EDGES)
def test_the_edges_of_every_network_and_their_neighbours_are_judged_right(address: str) -> None:
    assert judge(address) == expected(address)
    assert judge(address, EVERYTHING) == expected(address, ["0.0.0.0/0", "::/0"])


NETWORKS = [ip_network(network) for network in (*LOOPBACK, *NEVER, *REFUSED_NETWORKS)]


@given(st.one_of(st.ip_addresses(), *(st.ip_addresses(network=network) for network in NETWORKS)))
def test_any_address_is_judged_as_the_plain_table_says(address: IPv4Address | IPv6Address) -> None:
    allow = ["10.0.0.0/8", "fc00::/7", "127.0.0.0/8", "100.0.0.0/8"]
    assert judge(str(address)) == expected(str(address))
    assert judge(str(address), [ip_network(network) for network in allow]) == expected(str(address), allow)


def wrong_verdicts(table: Table) -> list[str]:
    """Return the samples and edges that a table judges differently than it should."""
    return [
        address
        for address in (*REFUSED, *ALLOWED, *EDGES)
        if table.judge(address) != expected(address)
        or table.judge(address, EVERYTHING) != expected(address, ["0.0.0.0/0", "::/0"])
    ]


def test_the_table_is_complete_and_has_nothing_else() -> None:
    assert wrong_verdicts(Table()) == []
    assert sorted(row.rule for row in ROWS) == sorted(
        [f"loopback {network}" for network in LOOPBACK]
        + [f"never {network}" for network in NEVER]
        + [f"refused {network}" for network in REFUSED_NETWORKS]
        + ["refused outside 2000::/3"]
    )


@pytest.mark.parametrize("removed", ROWS, ids=lambda row: row.rule)
@pytest.mark.checklist("AG20")
def test_a_row_taken_out_of_the_table_is_noticed(removed: Row) -> None:
    assert wrong_verdicts(Table([row for row in ROWS if row is not removed])) != []


@pytest.mark.parametrize("halved", [row for row in ROWS if not row.is_one_address], ids=lambda row: row.rule)
def test_a_row_made_narrower_is_noticed(halved: Row) -> None:
    spans = tuple(half for span in halved.spans for half in list(span.subnets(1))[:1])
    narrower = Row(halved.kind, halved.name, halved.rule, spans, halved.what)
    assert wrong_verdicts(Table([narrower if row is halved else row for row in ROWS])) != []


@pytest.mark.parametrize("address", ["fe80::1%eth0", "8.8.8.8%1", "2606:4700:4700::1111%lo"])
def test_a_scoped_address_is_refused(address: str) -> None:
    assert judge(address) == judge(address, EVERYTHING) == "scoped address"


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("64:ff9b::808:808", None),
        ("64:ff9b::a00:1", "refused 10.0.0.0/8"),
        ("64:ff9b::7f00:1", "loopback 127.0.0.0/8"),
        ("64:ff9b::a9fe:a9fe", "never 169.254.0.0/16"),
        ("64:ff9b:1::1", "never ::/8"),
        ("::ffff:8.8.8.8", "never ::/8"),
        ("2606:4700:4700::1111", None),
    ],
)
def test_with_nat64_the_address_inside_is_judged(address: str, rule: str | None) -> None:
    assert judge(address, nat64=True) == rule


# Nothing is dialled


@pytest.mark.checklist("M51")
@pytest.mark.parametrize("address", REFUSED)
async def test_a_refused_address_written_in_the_url_is_not_dialled(
    address: str, client: Outbound, canary: Canary
) -> None:
    answer = await send(client, url_of(address, canary.port))
    assert (answer.outcome, answer.peer) == (Outcome.BLOCKED_ADDRESS, None)
    assert answer.refusal is not None
    assert answer.refusal.rule == expected(address)


@pytest.mark.checklist("AG2", "M51")
@pytest.mark.parametrize("address", REFUSED)
async def test_a_name_that_leads_to_a_refused_address_is_not_dialled(
    address: str, client: Outbound, dns: ScriptedDns, canary: Canary
) -> None:
    dns.answers("evil.test", [address])
    dns.alias("www.evil.test", "cdn.evil.test")
    dns.alias("cdn.evil.test", "evil.test")
    for name in ("evil.test", "www.evil.test"):
        answer = await send(client, url_of(name, canary.port))
        assert (answer.outcome, answer.peer) == (Outcome.BLOCKED_ADDRESS, None)
        assert answer.refusal is not None
        assert (answer.refusal.rule, answer.refusal.address) == (expected(address), address)


@pytest.mark.checklist("AG3", "X49")
@pytest.mark.parametrize("bad", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", *OWN])
@pytest.mark.parametrize("good", ["203.0.114.1", "2606:4700:4700::1111"])
async def test_one_refused_address_among_good_ones_refuses_all(
    good: str, bad: str, client: Outbound, dns: ScriptedDns, canary: Canary
) -> None:
    for found in ([good, bad], [bad, good], [good, good, bad]):
        dns.answers(f"mixed{len(dns.asked)}.test", found)
        answer = await send(client, url_of(f"mixed{len(dns.asked)}.test", canary.port))
        assert answer.outcome in (Outcome.BLOCKED_ADDRESS, Outcome.OWN_ADDRESS)
        assert answer.peer is None


@pytest.mark.checklist("AG4")
async def test_a_name_that_changes_its_answer_is_dialled_only_where_it_was_judged(dns: ScriptedDns) -> None:
    """Rebinding: the address judged is the address dialled, and the next look-up is judged anew."""
    now = 1_000.0
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver())
        own = [await stack.enter_async_context(Canary(host, receiver.port)) for host in OWN]
        receiver.script("/hook", Reply(headers=[("Connection", "close")]))
        client = await stack.enter_async_context(
            Outbound(allow=AllowList.development(), lookup=dns, monotonic=lambda: now)
        )
        dns.answers("rebind.test", ["127.0.0.1"], OWN or ["10.0.0.1"], ["169.254.169.254"], ["127.0.0.1"])

        outcomes = []
        for _ in range(4):
            answer = await send(client, url_of("rebind.test", receiver.port))
            outcomes.append((answer.outcome, answer.address))
            now += ANSWER_KEPT_S

        assert outcomes[0] == outcomes[3] == (Outcome.OK, "127.0.0.1")
        assert outcomes[1] == outcomes[2] == (Outcome.BLOCKED_ADDRESS, None)
        assert len(dns.asked) == 4  # one look-up an attempt: nothing asks between judging and dialling
        assert [bird.connections for bird in own] == [0] * len(own)


async def test_an_answer_is_reused_for_thirty_seconds_and_a_failure_for_ten(dns: ScriptedDns) -> None:
    now = 1_000.0
    names = Names(dns, monotonic=lambda: now)
    dns.answers("shop.test", ["1.1.1.1"], ["1.0.0.1"])
    dns.answers("late.test", [], ["8.8.8.8"])
    assert await names.addresses("shop.test") == ("1.1.1.1",)
    with pytest.raises(NoSuchName):
        await names.addresses("late.test")

    now += 9.9
    with pytest.raises(NoSuchName):
        await names.addresses("late.test")
    now += 0.2
    assert await names.addresses("late.test") == ("8.8.8.8",)
    now += 19.8
    assert await names.addresses("shop.test") == ("1.1.1.1",)
    now += 0.2
    assert await names.addresses("shop.test") == ("1.0.0.1",)
    await names.close()


# Spellings

LOOPBACK_SPELLINGS = """
    2130706433 0x7f000001 0X7F000001 0x7f.0x0.0x0.0x1 0x7f.1 017700000001 0177.0.0.1 0177.0.0.01 127.1 127.0.1
    127.0.0.01 127.000.000.001 0127.0.0.1 127.0.0.1. 127.0.0.1.. 127.0.0.256 127.0.0.1.1 １２７.0.0.1 127。0。0。1
    127．0．0．1 ①②⑦.0.0.1 ⑫⑦.⓪.⓪.① 127.0.0.\u00ad1 1\u200b27.0.0.1 %31%32%37.0.0.1 127%2e0%2e0%2e1
    [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::ffff:127.0.0.1] [::FFFF:7F00:1]
    [::127.0.0.1] [::1%lo] [::1%25lo] [127.0.0.1] [::ffff:0x7f.0.0.1] [::ffff:127.0.0.1%25lo] [0::1] [::0001]
    [64:ff9b::127.0.0.1] [2002:7f00:1::] localhost LOCALHOST LocalHost localhost. localhost.. ｌocalhost ⓛⓞⓒⓐⓛⓗⓞⓢⓣ
    loc\u00adalhost x.localhost a.b.localhost. ip6-localhost localhost.local db.internal redis printer.local
    localhost%2e localhost%00 127.0.0.1%0a 0 0.0.0.0 0x0 00 [::]
""".split()  # noqa: SIM905


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS, ids=ascii)
@pytest.mark.checklist("AG8")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_of_loopback_is_dialled(scheme: str, host: str, client: Outbound, canary: Canary) -> None:
    url = f"{scheme}://{host}:{canary.port}/hook"
    answer = await send(client, url)
    assert answer.outcome in (Outcome.BLOCKED_URL, Outcome.BLOCKED_ADDRESS)
    assert answer.refusal == client.check(url, plain_http=True) is not None


@pytest.mark.checklist("AG9")
@pytest.mark.parametrize(
    "url",
    [
        "https://good.test@{canary}/",
        "https://good.test:443@{canary}/",
        "https://@{canary}/",
        "https://good.test%40{canary}/",
        "https://good.test＠{canary}/",
        "https://{canary}\\@good.test/",
        "https://good.test\\@{canary}/",
        "https:\\\\{canary}/",
        "https:/{canary}/",
        "https:{canary}/",
        "//{canary}/",
        "{canary}/",
        "https://good.test#@{canary}/",
        "https://good.test?@{canary}/",
        "https://good.test/#fragment",
        "https://good.test/\t",
        "https://good.test/\n",
        "https://good.test/\r\nHost: {canary}",
        " https://good.test/",
        "https://good.test/ ",
        "https://good.test/a b",
        "https://go\tod.test/",
        "https://good.test\u2028/",
        "https://good.test/\x00",
        "https://good.test/\x7f",
        "https://good.test/\ud800",
        "https://",
        "https:///",
        "https://:443/",
        "https://./",
        "https://../",
        "https://.good.test/",
        "https://good..test/",
        "https://good.test../",
        "https://-good.test/",
        "https://good-.test/",
        "https://go*od.test/",
        "https://go od.test/",
        "https://good.test,{canary}/",
        "https://good.test;{canary}/",
        "https://good.test／{canary}/",
        "https://[good.test]/",
        "https://[::1/",
        "https://::1]/",
        "https://[::1]good.test/",
        "https://[]/",
        "https://[2606:4700:4700::1111%25eth0]/",
        "https://[2606:4700:4700::1111%eth0]/",
        "https://[v1.a]/",
        "https://xn--a.test/",
        "https://☃.test:/",
        "https://" + "a" * 64 + ".test/",
        "https://" + "a." * 127 + "test/",
        "https://good.test/" + "a" * 2_048,
        "https://good.test/" + "é" * 700,
        "ftp://good.test/",
        "file:///etc/passwd",
        "gopher://{canary}/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "ws://good.test/",
        "unix:///run/docker.sock",
        "HTTPS+unix://good.test/",
        "",
        "https",
    ],
    ids=lambda url: ascii(url)[:60],
)
async def test_a_url_that_two_readers_may_read_differently_is_refused_at_saving_and_at_sending(
    url: str, client: Outbound, dns: ScriptedDns, canary: Canary
) -> None:
    url = url.replace("{canary}", f"127.0.0.1:{canary.port}")
    dns.answers("good.test", ["127.0.0.1"])
    saving = client.check(url, plain_http=True)
    answer = await send(client, url)
    assert saving is not None
    assert (saving.outcome, answer.outcome) == (Outcome.BLOCKED_URL, Outcome.BLOCKED_URL)
    assert dns.asked == []


@pytest.mark.checklist("AG18")
@pytest.mark.parametrize("port", ["0", "1", "22", "25", "79", "81", "442", "444", "1023", "65536", "99999", "443443"])
async def test_other_ports_are_refused(port: str, client: Outbound, dns: ScriptedDns) -> None:
    answer = await send(client, f"https://good.test:{port}/")
    assert (answer.outcome, dns.asked) == (Outcome.BLOCKED_URL, [])


@pytest.mark.checklist("AG18")
@pytest.mark.parametrize("port", ["", "-1", "+443", "4 43", "４４３", "0x1bb", "443a", "４43", "443:443"])
async def test_a_port_that_is_not_one_is_refused(port: str, client: Outbound, dns: ScriptedDns) -> None:
    answer = await send(client, f"https://good.test:{port}/")
    assert (answer.outcome, dns.asked) == (Outcome.BLOCKED_URL, [])


def test_the_operator_may_choose_the_ports() -> None:
    guard = Guard(ports=Ports.parse("443, 8000-8010"))
    ports = [port for port in (80, 443, 7999, 8000, 8010, 8011) if _passes(guard, f"https://good.test:{port}/")]
    assert ports == [443, 8000, 8010]


@pytest.mark.parametrize("text", ["", "x", "443,", "0", "65536", "10-1", "-5", "1-", "443-x", "４４３"])
def test_a_list_of_ports_that_makes_no_sense_stops_the_start(text: str) -> None:
    with pytest.raises(BadEntry):
        Ports.parse(text)


def test_http_is_refused_unless_the_caller_s_rules_allow_it() -> None:
    refusal = Guard().check_url("http://good.test/", plain_http=False)
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "http without TLS"


def _passes(guard: Guard, url: str) -> bool:
    return isinstance(guard.check_url(url, plain_http=True), Target)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Shop.Example:443/A", "https://shop.example/A"),
        ("https://shop.example", "https://shop.example/"),
        ("https://shop.example.", "https://shop.example/"),
        ("https://bücher.example/ß", "https://xn--bcher-kva.example/%C3%9F"),
        ("https://faß.example/", "https://xn--fa-hia.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://EXAM\u00adPLE。com/", "https://example.com/"),
        ("https://my_shop.example/", "https://my_shop.example/"),
        ("https://1.shop.example/", "https://1.shop.example/"),
        ("https://3com.example:8443/?a=b&c[]=d", "https://3com.example:8443/?a=b&c[]=d"),
        ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
        ("http://8.8.8.8/a//b/../c;d?e@f", "http://8.8.8.8/a//b/../c;d?e@f"),
    ],
)
def test_a_good_url_is_normalised_and_reading_it_again_changes_nothing(url: str, normal: str) -> None:
    target = read_url(url)
    assert isinstance(target, Target)
    assert target.text == normal
    assert read_url(normal) == target


@given(st.text(max_size=40) | st.from_regex(re.compile(r"https?://[^/]{0,30}(/.{0,10})?", re.S)))
def test_whatever_the_text_reading_it_is_safe_and_the_host_reads_one_way(text: str) -> None:
    target = read_url(text)
    if isinstance(target, Target):
        assert target.url.raw_host == target.host
        assert target.host.isascii()
        assert target.url.user is None
        assert read_url(target.text) == target


# What leads elsewhere later


@pytest.mark.checklist("AG6", "M51")
@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_a_redirect_is_never_followed_wherever_it_leads(status: int, canary: Canary) -> None:
    async with Receiver() as receiver, Outbound(allow=AllowList.development()) as client:
        for target in (f"http://127.0.0.1:{canary.port}/", receiver.url("/next"), "//localhost/", "/next"):
            headers = [("Location", target), ("Refresh", f"0; url={target}"), ("URI", target)]
            receiver.script("/hook", Reply(status, headers, b""))
            answer = await send(client, receiver.url("/hook"), keep_private_answer=True)
            assert (answer.outcome, answer.status, answer.header("Location")) == (Outcome.REDIRECT, status, target)
        assert {request.path for request in receiver.requests} == {"/hook"}


@pytest.mark.checklist("AG6")
async def test_a_refresh_header_on_a_success_means_nothing(canary: Canary) -> None:
    async with Receiver() as receiver, Outbound(allow=AllowList.development()) as client:
        receiver.script("/hook", Reply(headers=[("Refresh", f"0; url=http://127.0.0.1:{canary.port}/")]))
        assert (await send(client, receiver.url("/hook"))).outcome is Outcome.OK


@pytest.mark.checklist("AG7")
async def test_proxies_and_passwords_of_the_environment_are_ignored(
    canary: Canary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("NO_PROXY", "")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\ndefault login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async with Receiver() as receiver, Outbound(allow=AllowList.development()) as client:
        assert (await send(client, receiver.url("/hook"))).outcome is Outcome.OK
        assert receiver.requests[0].header("Authorization") is None
        assert receiver.requests[0].target == "/hook"


async def test_cookies_are_not_kept(dns: ScriptedDns) -> None:
    dns.answers("shop.test", ["127.0.0.1"])  # a cookie jar would take none from a bare address
    async with Receiver(name="shop.test") as receiver, Outbound(allow=AllowList.development(), lookup=dns) as client:
        receiver.script("/hook", Reply(headers=[("Set-Cookie", "a=b; Path=/")]))
        for _ in range(2):
            await send(client, receiver.url("/hook"))
        assert [request.header("Cookie") for request in receiver.requests] == [None, None]


# Our own house


@pytest.mark.skipif(not OWN, reason="this machine has no address but loopback")
@pytest.mark.checklist("AG10")
@pytest.mark.parametrize("address", OWN)
async def test_this_machine_s_own_addresses_are_refused_even_in_an_allowed_network(
    address: str, dns: ScriptedDns, canary: Canary
) -> None:
    assert is_own_address(address)
    width = 128 if ":" in address else 32
    dns.answers("own.test", [address])
    async with Outbound(allow=AllowList.parse([f"{address}/{width}"]), lookup=dns) as client:
        for host in (address, "own.test"):
            answer = await send(client, url_of(host, canary.port))
            assert (answer.outcome, answer.peer) == (Outcome.OWN_ADDRESS, None)


@pytest.mark.skipif(not OWN, reason="this machine has no address but loopback")
async def test_a_host_entry_opens_this_machine_s_own_address(dns: ScriptedDns) -> None:
    dns.answers("own.test", OWN[:1])
    async with Receiver(host=OWN[0]) as receiver:
        allow = AllowList.parse([f"own.test:{receiver.port}"])
        async with Outbound(allow=allow, lookup=dns) as client:
            assert (await send(client, url_of("own.test", receiver.port))).outcome is Outcome.OK


@pytest.mark.checklist("AG10")
@pytest.mark.parametrize(
    ("entries", "is_refused"),
    [([], True), (["pay.test"], True), (["pay.test:8443"], True), (["pay.test:443"], False)],
)
async def test_our_own_public_name_is_refused_unless_listed_with_its_port(
    entries: list[str], is_refused: bool, dns: ScriptedDns
) -> None:
    async with Outbound(allow=AllowList.parse(entries), own=frozenset({("pay.test", 443)}), lookup=dns) as client:
        refusal = client.check("https://PAY.test./hook")
        assert (refusal is not None and refusal.outcome is Outcome.OWN_ADDRESS) is is_refused
        assert client.check("https://pay.test:8443/hook") is None


# The allow list


@pytest.mark.checklist("AG11")
@pytest.mark.parametrize(
    "entry",
    [
        "0.0.0.0/0", "::/0", "128.0.0.0/1", "10.0.0.0/7", "fc00::/6", "::/1",  # too wide
        "127.0.0.0/8", "127.0.0.1/32", "::1/128", "126.0.0.0/7", "::/8", "::/64",  # loopback
        "169.254.0.0/16", "169.254.169.254/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
        "224.0.0.0/4", "240.0.0.0/8", "0.0.0.0/8", "64:ff9b::/96", "::ffff:0:0/96", "2002::/16", "2001::/32",
        "fd00:ec2::/32", "fd00:ec2::254/128", "fd20:ce::/32", "fe80::/10", "fe80::/64", "fec0::/10", "ff00::/8",
        "10.0.0.1/8", "10.0.0.0/33", "10.0.0/8", "ten/8", "/8", "fd12::%eth0/64",  # not networks
        "169.254.169.254", "169.254.169.254:80", "[fd00:ec2::254]:80", "::", "0.0.0.0",  # nothing opens these
        "http://shop.lan", "shop.lan:0", "shop.lan:99999", "*.lan", "*", "user@shop.lan", "127.1", "0x7f000001",
    ],
)  # fmt: skip
def test_an_entry_that_would_open_too_much_stops_the_start(entry: str) -> None:
    with pytest.raises(BadEntry, match=f"^{re.escape(entry)} "):
        AllowList.parse(["10.20.0.0/16", entry])


ALLOWING = ["10.20.0.0/16", "fd12:3456::/32", "100.0.0.0/8", "shop.lan", "only.lan:8443", "127.0.0.1:9000", "meta.lan"]


@pytest.mark.checklist("AG12", "M51")
@pytest.mark.parametrize(
    ("host", "port", "address", "rule"),
    [
        ("any.test", 443, "10.20.0.1", None),
        ("any.test", 443, "10.20.255.255", None),
        ("any.test", 443, "10.21.0.0", "refused 10.0.0.0/8"),
        ("any.test", 443, "10.19.255.255", "refused 10.0.0.0/8"),
        ("any.test", 443, "fd12:3456::1", None),
        ("any.test", 443, "fd12:3457::1", "refused outside 2000::/3"),
        ("any.test", 443, "100.64.0.1", None),
        ("any.test", 443, "100.100.100.200", "never 100.100.100.200/32"),
        ("any.test", 443, "127.0.0.1", "loopback 127.0.0.0/8"),
        ("any.test", 443, "8.8.8.8", None),
        ("shop.lan", 443, "192.168.7.7", None),
        ("shop.lan", 8443, "127.0.0.1", None),
        ("shop.lan", 443, "::1", None),
        ("www.shop.lan", 443, "192.168.7.7", "refused 192.168.0.0/16"),
        ("only.lan", 8443, "192.168.7.7", None),
        ("only.lan", 443, "192.168.7.7", "refused 192.168.0.0/16"),
        ("127.0.0.1", 9000, "127.0.0.1", None),
        ("127.0.0.1", 9001, "127.0.0.1", "loopback 127.0.0.0/8"),
        ("any.test", 9000, "127.0.0.1", "loopback 127.0.0.0/8"),
        ("meta.lan", 443, "169.254.169.254", "never 169.254.0.0/16"),
        ("meta.lan", 443, "fd00:ec2::254", "never fd00:ec2::/32"),
        ("meta.lan", 443, "::ffff:127.0.0.1", "never ::/8"),
        ("meta.lan", 443, "0.0.0.0", "never 0.0.0.0/8"),
    ],
)
def test_the_allow_list_opens_exactly_what_it_says(host: str, port: int, address: str, rule: str | None) -> None:
    guard = Guard(AllowList.parse(ALLOWING))
    target = read_url(f"https://{host}:{port}/")
    assert isinstance(target, Target)
    refusal = guard.check_addresses(target, [address])
    assert (None if refusal is None else refusal.rule) == rule


@pytest.mark.checklist("AG11")
@pytest.mark.parametrize("address", [text for text in REFUSED if (expected(text) or "").startswith("never")])
@pytest.mark.parametrize("nat64", [False, True])
def test_no_allow_list_opens_what_is_never_opened(address: str, nat64: bool) -> None:
    everything = AllowList.private_addresses() | AllowList.development() | AllowList.parse([*ALLOWING, "meta.lan:443"])
    target = read_url("https://meta.lan/")
    assert isinstance(target, Target)
    refusal = Guard(everything, nat64=nat64).check_addresses(target, [address])
    inside = nat64 and ip_address(address) in ip_network("64:ff9b::/96")
    assert inside or (refusal is not None and refusal.rule == expected(address))


def test_a_metadata_address_behind_nat64_stays_closed() -> None:
    assert judge("64:ff9b::a9fe:a9fe", EVERYTHING, nat64=True) == "never 169.254.0.0/16"


def test_local_names_need_a_host_entry() -> None:
    guard = Guard(AllowList.parse(["db", "shop.local", "10.0.0.0/8"]))
    hosts = ("db", "redis", "shop.local", "other.local", "x.internal", "localhost", "a.localhost", "shop.lan")
    assert [host for host in hosts if _passes(guard, f"https://{host}/")] == ["db", "shop.local", "shop.lan"]


def test_development_opens_loopback_its_names_and_any_port_and_nothing_else() -> None:
    guard = Guard(AllowList.development())
    urls = ("http://localhost:25/", "http://a.localhost/", "http://127.0.0.1:1/", "http://[::1]:22/")
    assert all(_passes(guard, url) for url in urls)
    closed = ("http://10.0.0.1/", "http://169.254.169.254/", "http://0.0.0.0/", "http://db/", "http://x.internal/")
    assert not any(_passes(guard, url) for url in closed)


def test_private_addresses_open_what_their_setting_lists() -> None:
    guard = Guard(AllowList.private_addresses())
    opened = ("10.0.0.1", "172.16.0.1", "192.168.0.1", "127.0.0.1", "[::1]", "[fd12::1]", "localhost")
    assert all(_passes(guard, f"http://{host}/") for host in opened)
    closed = ("100.64.0.1", "169.254.1.1", "[fd00:ec2::254]", "[fe80::1]", "198.18.0.1", "db", "127.0.0.1:25")
    assert not any(_passes(guard, f"http://{host}/") for host in closed)


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ({"pix_webhooks_allow_private_addresses": True}, "http://10.0.0.1/"),
        ({"webhooks_nat64": True}, "http://[64:ff9b::808:808]/"),
        ({"webhooks_allow": "10.0.0.0/8"}, "http://10.0.0.1/"),
        ({"dev": True}, "http://127.0.0.1:25/"),
    ],
)
async def test_a_setting_opens_what_it_names_and_nothing_does_so_without_it(setting: dict[str, Any], url: str) -> None:
    async with outbound_of(Settings().completed()) as usual, outbound_of(Settings(**setting).completed()) as client:
        assert usual.check(url, plain_http=True) is not None
        assert client.check(url, plain_http=True) is None


@pytest.mark.parametrize("kept", [-1, READ_BYTES_DEFAULT + 1])
def test_more_of_an_answer_than_is_read_cannot_be_kept_nor_less_than_nothing(kept: int) -> None:
    with pytest.raises(BadSettingError, match=f"ANSWER_KEPT_BYTES takes 0 to {READ_BYTES_DEFAULT} bytes, not {kept}"):
        Settings(webhooks_answer_kept_bytes=kept).completed()


def test_what_is_kept_of_an_answer_is_what_every_call_keeps_as_a_rule() -> None:
    assert Settings().webhooks_answer_kept_bytes == KEPT_BYTES_DEFAULT


async def test_what_is_opened_for_one_merchant_stays_closed_for_another() -> None:
    """A connection kept open for the one must not serve the other."""
    async with Receiver() as receiver, Outbound() as client:
        mine = AllowList.parse([f"127.0.0.1:{receiver.port}"])
        url = receiver.url("/hook")
        assert (await send(client, url, allow=mine, owner=1)).outcome is Outcome.OK
        assert (await send(client, url, owner=2)).outcome is Outcome.BLOCKED_ADDRESS
        assert (await send(client, url, allow=AllowList.parse(["shop.lan"]))).outcome is Outcome.BLOCKED_ADDRESS
        assert (await send(client, url, allow=mine, owner=1)).reused
        assert client.check(url, plain_http=True) is not None
        assert client.check(url, plain_http=True, allow=mine) is None


@pytest.mark.checklist("AG14")
async def test_a_connection_kept_under_a_wider_allow_list_serves_no_call_under_a_narrower_one() -> None:
    """The operator's list is read at the start, and a merchant's comes with each call."""
    async with Receiver() as receiver:
        url, mine = receiver.url("/hook"), AllowList.parse([f"127.0.0.1:{receiver.port}"])
        async with Outbound(allow=mine) as before:
            assert (await send(before, url)).outcome is Outcome.OK
            assert receiver.open_connections == 1
        await receiver.wait_until_idle()
        async with Outbound() as client:
            assert (await send(client, url)).outcome is Outcome.BLOCKED_ADDRESS
            assert (await send(client, url, allow=mine | AllowList.parse(["10.20.0.0/16"]))).outcome is Outcome.OK
            assert (await send(client, url, allow=AllowList.parse(["10.20.0.0/16"]))).outcome is Outcome.BLOCKED_ADDRESS
            assert len(receiver.requests) == 2


# The last gate


@pytest.mark.checklist("AG15")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", *OWN])
async def test_the_socket_factory_refuses_a_literal_address_that_skipped_every_other_check(
    address: str, canary: Canary
) -> None:
    """aiohttp asks no resolver about a literal address; the factory still judges the number."""
    target = read_url(url_of(address, canary.port))
    assert isinstance(target, Target)
    connector = aiohttp.TCPConnector(socket_factory=partial(judged_socket, Guard(), target))
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as failed:
            await session.get(target.url)
    assert isinstance(failed.value.os_error, RefusedSocket)


# Answers and messages


@pytest.mark.checklist("AG16")
async def test_answers_from_allow_listed_addresses_are_not_kept() -> None:
    async with Receiver() as receiver, Outbound(allow=AllowList.development()) as client:
        receiver.script("/hook", Reply(500, [("X-Internal", "secret")], b"secret"))
        answer = await send(client, receiver.url("/hook"))
        assert (answer.status, answer.headers, answer.body_kept) == (500, (), b"")
        assert (answer.body_bytes, answer.cut) == (6, True)
        assert answer.peer is not None
        assert answer.peer.is_private
        assert "secret" not in repr(answer)

        kept = await send(client, receiver.url("/hook"), keep_private_answer=True)
        assert (kept.body_kept, kept.header("X-Internal")) == (b"secret", "secret")


@pytest.mark.checklist("AG19")
@pytest.mark.parametrize("address", REFUSED)
async def test_merchants_read_the_rule_and_the_setting_but_never_the_address(
    address: str, client: Outbound, dns: ScriptedDns
) -> None:
    dns.answers("shop.test", [address])
    answer = await send(client, "https://shop.test/")
    refusal = answer.refusal
    assert refusal is not None
    assert answer.error_text == refusal.for_merchant
    assert refusal.for_merchant.startswith("shop.test resolves to a")
    assert "`webhooks.allow`" in refusal.for_merchant
    words = re.split(r"[ ()/,]+|[.](?= |$)", refusal.for_merchant)
    network_starts = {str(ip_network(network)[0]) for network in (*LOOPBACK, *NEVER, *REFUSED_NETWORKS)}
    assert address not in words or address in network_starts - {"168.63.129.16", "100.100.100.200", "192.0.0.192"}
    assert refusal.for_operator == f"shop.test resolves to {address}, refused by the rule: {expected(address)}."


async def test_the_message_of_the_specification(client: Outbound, dns: ScriptedDns) -> None:
    dns.answers("shop.example", ["10.1.2.3"])
    answer = await send(client, "https://shop.example/hook")
    assert answer.error_text == (
        "shop.example resolves to a private address (10.0.0.0/8). The operator can allow it: `webhooks.allow`."
    )


async def test_the_hub_can_ask_what_sending_would_say(client: Outbound, dns: ScriptedDns, canary: Canary) -> None:
    dns.answers("bad.test", ["8.8.8.8", "127.0.0.1"])
    dns.answers("good.test", ["8.8.8.8"])
    bad = await client.inspect("https://bad.test/")
    assert bad is not None
    assert bad.outcome is Outcome.BLOCKED_ADDRESS
    assert await client.inspect("https://good.test/") is None
    assert await client.inspect("https://nowhere.test/") is None
    assert (await client.inspect(f"https://127.0.0.1:{canary.port}/")) is not None
    assert (await client.inspect("ftp://good.test/")) is not None


# The operator's proxy


@pytest.mark.checklist("AG17")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_egress_proxy_learns_the_judged_address_and_never_a_name(scheme: str, dns: ScriptedDns) -> None:
    authority = Authority()
    dns.answers("shop.test", ["127.0.0.1"])
    tls = authority.server("shop.test") if scheme == "https" else None
    async with TunnelProxy() as proxy, Receiver(tls=tls, name="shop.test") as receiver:
        egress = EgressProxy.parse(proxy.url.replace("//", "//me:p%40ss@"))
        options: dict[str, Any] = {"allow": AllowList.development(), "lookup": dns, "roots": authority.roots}
        async with Outbound(egress_proxy=egress, **options) as client:
            first = await send(client, receiver.url("/hook"))
            second = await send(client, receiver.url("/hook"))

    assert (first.outcome, first.address, second.reused) == (Outcome.OK, "127.0.0.1", True)
    assert receiver.requests[0].header("Host") == f"shop.test:{receiver.port}"
    assert proxy.heads == [
        b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
        % (receiver.port, receiver.port)
    ]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", *OWN])
async def test_the_egress_proxy_is_not_asked_for_a_refused_address(
    address: str, dns: ScriptedDns, canary: Canary
) -> None:
    dns.answers("evil.test", [address])
    async with TunnelProxy() as proxy:
        async with Outbound(egress_proxy=EgressProxy.parse(proxy.url), lookup=dns) as client:
            for host in ("evil.test", address):
                assert (await send(client, url_of(host, canary.port))).outcome is Outcome.BLOCKED_ADDRESS
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200",
        "",
    ],
)
async def test_a_proxy_that_makes_no_tunnel_is_an_outcome(head: str, dns: ScriptedDns, canary: Canary) -> None:
    dns.answers("shop.test", ["127.0.0.1"])
    async with TunnelProxy(answer=head) as proxy:
        options: dict[str, Any] = {"allow": AllowList.development(), "lookup": dns}
        async with Outbound(egress_proxy=EgressProxy.parse(proxy.url), **options) as client:
            answer = await send(client, url_of("shop.test", canary.port))
    assert answer.outcome is Outcome.UNREACHABLE
    assert "egress proxy" in (answer.error_text or "")


@pytest.mark.parametrize(
    "text", ["", "proxy.test:3128", "https://proxy.test", "socks5://proxy.test", "http://", "http://a b"]
)
def test_a_proxy_setting_that_cannot_be_used_stops_the_start(text: str) -> None:
    with pytest.raises(BadEntry, match="egress_proxy"):
        EgressProxy.parse(text)


def test_a_proxy_does_not_print_its_password() -> None:
    assert repr(EgressProxy.parse("http://me:secret@proxy.test")) == "EgressProxy(proxy.test:3128)"


async def test_every_call_leaves_through_the_proxy_of_the_setting() -> None:
    async with TunnelProxy() as proxy, Receiver() as receiver:
        chosen = Settings(webhooks_egress_proxy=proxy.url, webhooks_allow=f"127.0.0.1:{receiver.port}")
        async with outbound_of(chosen.completed()) as client:
            assert (await send(client, receiver.url("/hook"))).outcome is Outcome.OK
        assert proxy.connections == 1


# There is no second path


def test_nothing_else_in_the_code_can_call_out() -> None:
    callers = {"aiohttp", "httpx", "requests", "urllib3", "urllib.request", "http.client", "ftplib", "telnetlib"}
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in sorted(SOURCE.rglob("*.py"))
        if "outbound" not in file.relative_to(SOURCE).parts
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _imported(node)
        if name in callers or name.partition(".")[0] in callers
    ]
    assert wrong == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []
