"""Calls as a reader of the API pages makes them: with curl, and with openssl for the hmac."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CURL: Final = ("curl", "--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "20")


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl printed. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Return the body's value; an empty object where it is no JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}


def curl(*arguments: str) -> Answer:
    """Run curl and read what it printed."""
    done = subprocess.run([*CURL, *arguments], capture_output=True, check=True)  # noqa: S603
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    while head.startswith("HTTP/1.1 100"):
        head, _, body = body.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def hmac_sha512(body: str, secret: str) -> str:
    """Compute the hmac header as the page does: echo -n "$BODY" | openssl dgst -sha512 -hmac "$CLIENT_SECRET"."""
    done = subprocess.run(  # noqa: S603
        ["openssl", "dgst", "-sha512", "-hmac", secret],  # noqa: S607
        input=body,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[1]


def say(method: str, path: str, answer: Answer) -> None:
    """Print a call and what came of it."""
    shown = answer.text if len(answer.text) <= 160 else answer.text[:157] + "…"
    print(f"  {method:<6} {path:<52} {answer.status}  {shown}")


def header_arguments(headers: Mapping[str, str]) -> Sequence[str]:
    return [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
