"""TXT records, asked of a name server of another maker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dnslib import QTYPE, RR, TXT
from dnslib.server import BaseResolver, DNSRecord, DNSServer

from opentill.kernel.ids import SeededIds
from opentill.outbound.texts import name_servers, text_records
from tests.make import Scene

pytestmark = pytest.mark.anyio

NAME = "_opentill-verification.pay.shop.example"


class Zone(BaseResolver):  # type: ignore[misc]
    """Answers with scripted texts."""

    def __init__(self) -> None:
        self.texts: list[list[bytes]] = []

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = request.reply()
        for parts in self.texts:
            reply.add_answer(RR(str(request.q.qname), QTYPE.TXT, rdata=TXT(parts), ttl=60))
        return reply


@pytest.fixture
def zone() -> Iterator[tuple[Zone, tuple[str, int]]]:
    resolver = Zone()
    server = DNSServer(resolver, address="127.0.0.1", port=0, tcp=True)
    server.start_thread()
    yield resolver, server.server.server_address[:2]
    server.stop()
    server.server.server_close()


def ids() -> SeededIds:
    return Scene().ids


async def test_texts_are_found_whatever_stands_beside_them(zone: tuple[Zone, tuple[str, int]]) -> None:
    resolver, address = zone
    resolver.texts = [[b"v=spf1 -all"], [b"0123456789", b"abcdef"], [b"x" * 250] * 5]

    found = await text_records(NAME, ids=ids(), servers=(address,))

    assert found == ("v=spf1 -all", "0123456789abcdef", "x" * 1250)


async def test_no_text_and_no_server_are_no_text(zone: tuple[Zone, tuple[str, int]]) -> None:
    _, address = zone

    assert await text_records(NAME, ids=ids(), servers=(address,)) == ()
    assert await text_records(NAME, ids=ids(), servers=(("127.0.0.1", 1),)) == ()
    assert await text_records(NAME, ids=ids(), servers=()) == ()


def test_the_machines_name_servers_are_read(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# comment\nsearch example\nnameserver 192.0.2.1\nnameserver ::1\noptions ndots:1\n")

    assert name_servers(file) == (("192.0.2.1", 53), ("::1", 53))
    assert name_servers(tmp_path / "nothing") == ()
