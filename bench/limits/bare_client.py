"""L7: a bare asyncio loop over aiohttp: a body of 1 KB, signed as the product signs, 64 in flight, no database."""

import argparse
import asyncio
import hashlib
import hmac
import json
import ssl
import time
from pathlib import Path

import aiohttp
import uvloop

IN_FLIGHT = 64
BODY = json.dumps({"event": "payment.completed", "id": "evt_00112233445566778899aabb", "note": "x" * 940}).encode()
SECRET = b"whsec_of_the_benchmark_that_protects_nothing"


def signed(number: int) -> dict[str, str]:
    """Return the headers of one delivery, with both signatures made anew."""
    seconds = int(time.time())
    event = f"evt_{number:024x}"
    plain = hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()
    bound = hmac.new(SECRET, f"{event}.{seconds}.".encode() + BODY, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-OwnPay-Signature": f"sha256={plain}",
        "X-OwnPay-Timestamp": str(seconds),
        "webhook-id": event,
        "webhook-signature": f"v1,{bound}",
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

    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session, asyncio.TaskGroup() as tasks:
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
