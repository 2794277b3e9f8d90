"""L7: a bare asyncio loop over aiohttp: a body of 1 KB, signed as the product signs, 64 in flight, no database.

Both signatures of the dialect whose deliveries are drained beside it are made: HMAC-SHA256 and Ed25519. It sends
through aiohttp's session, which the product does without.
"""

import argparse
import asyncio
import base64
import hmac
import json
import ssl
import time
from pathlib import Path

import aiohttp
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

IN_FLIGHT = 64
BODY = json.dumps({"event": "payment.completed", "id": "evt_00112233445566778899aabb", "note": "x" * 940}).encode()
SECRET = b"whsec_of_the_benchmark_that_protects_nothing"
KEY = Ed25519PrivateKey.generate()
KEY_ID = "0" * 43


def signed(number: int) -> dict[str, str]:
    """Return the headers of one delivery of the standard dialect, with both its signatures made anew."""
    seconds = int(time.time())
    event = f"evt_{number:024x}"
    message = f"{event}.{seconds}.".encode() + BODY
    v1 = base64.b64encode(hmac.digest(SECRET, message, "sha256")).decode()
    v1a = base64.b64encode(KEY.sign(message)).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "OpenTill-Webhooks/1",
        "X-OpenTill-Delivery-Id": f"dlv_{number:024x}",
        "X-OpenTill-Attempt": "1",
        "webhook-id": event,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{v1} v1a,{v1a}",
        "X-OpenTill-Key-Id": KEY_ID,
    }


async def deliver(url: str, seconds: float, *, cold: bool, certificate: Path | None) -> float:
    """Return how many requests a second were answered with 2xx."""
    context = ssl.create_default_context(cafile=str(certificate) if certificate else None)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, force_close=cold, ssl=context)
    done, begin = 0, time.perf_counter()

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while time.perf_counter() < begin + seconds:
            async with session.post(url, data=BODY, headers=signed(done), allow_redirects=False) as answer:
                await answer.read()
                done += 200 <= answer.status < 300

    plain = {"cookie_jar": aiohttp.DummyCookieJar(), "timeout": aiohttp.ClientTimeout(total=None), "trust_env": False}
    async with aiohttp.ClientSession(connector=connector, **plain) as session, asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(caller(session))
    return done / (time.perf_counter() - begin)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--cold", action="store_true", help="a new connection for each request")
    arguments.add_argument("--certificate", type=Path)
    chosen = arguments.parse_args()
    work = deliver(chosen.url, chosen.seconds, cold=chosen.cold, certificate=chosen.certificate)
    print(json.dumps({"rate": uvloop.run(work)}))


if __name__ == "__main__":
    main()
