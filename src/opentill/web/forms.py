"""Forms: read within limits, made for one page only, and counted once (bars.md §8, column Forms).

A form carries a *key*, which counts it once, and a *digest* over the key and the facts the page showed. A digest
that does not fit means the page is stale, or not ours: it is shown again and nothing is done.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, same
from opentill.web import idempotency
from opentill.web.idempotency import Slot

BODY_BYTES_MAX: Final = 64 * 1024
FIELDS_MAX: Final = 100
KEY_HEX: Final = 32
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
MEDIA_TYPE_WITH_FILES: Final = "multipart/form-data"
KEY: Final = "form_key"
DIGEST: Final = "form_digest"

Fields = Mapping[str, str]


async def read(request: Request) -> Fields:
    """Return the fields of a posted form; of a repeated field the last. Raises HTTPException 400, 413 or 415."""
    return dict(await _pairs(request))


async def read_lists(request: Request) -> tuple[Fields, Mapping[str, Sequence[str]]]:
    """Return the fields as `read` does, and beside them every value of each: of check boxes there are several.

    In the former, several values stand as one, so that a form with other boxes ticked is another form.
    """
    lists: dict[str, list[str]] = {}
    for name, value in await _pairs(request):
        lists.setdefault(name, []).append(value)
    return {name: "\n".join(values) for name, values in lists.items()}, lists


async def _pairs(request: Request) -> list[tuple[str, str]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    if any("\0" in text for pair in pairs for text in pair):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return pairs


async def read_with_files(
    request: Request, *, files_max: int, file_bytes_max: int
) -> tuple[Fields, list[tuple[str, bytes]]]:
    """Return the fields of a posted form and the files that came with it, each as its name and content.

    Raises HTTPException 400, 413 or 415. Callers know who may send as much before they read it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE_WITH_FILES:
        return await read(request), []
    stream = _bounded(request, BODY_BYTES_MAX + files_max * file_bytes_max)
    parser = _InMemory(
        request.headers, stream, max_files=files_max, max_fields=FIELDS_MAX, max_part_size=BODY_BYTES_MAX
    )
    try:
        parts = await parser.parse()
    except MultiPartException:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    fields, files = {}, []
    for name, value in parts.multi_items():
        if isinstance(value, str):
            fields[name] = value
        elif value.filename:
            files.append((value.filename, await value.read()))
    await parts.close()
    if any("\0" in text for pair in fields.items() for text in pair):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return fields, files


class _InMemory(MultiPartParser):
    """What payers upload does not touch the disk before it is sealed."""

    spool_max_size = 64 * 1024 * 1024


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > most:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        yield part


@dataclass(frozen=True, slots=True)
class Stamp:
    """The two hidden fields of one form."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Stamps:
    """Makes and checks the hidden fields."""

    keyring: Keyring
    ids: Ids

    def make(self, action: str, *facts: str) -> Stamp:
        """Return a stamp for a form that does *action* on what the page shows."""
        key = self.ids.hex(KEY_HEX)
        return Stamp(key, self._digest(key, action, facts))

    def fits(self, form: Fields, action: str, *facts: str) -> bool:
        """Tell whether a form was made by us, for this action and these facts."""
        return same(form.get(DIGEST, ""), self._digest(form.get(KEY, ""), action, facts))

    def _digest(self, key: str, action: str, facts: tuple[str, ...]) -> str:
        return self.keyring.keyed_hash("\0".join((key, action, *facts)), "form")


class Use(Enum):
    """Whether a form was seen before."""

    FIRST = "first"
    REPEATED = "repeated"
    CHANGED = "changed"  # the same form with other fields


def use(tx: Tx, form: Fields, scope: str, *, owner: Owner, keyring: Keyring, now: Instant | None) -> Use:
    """Use a form's key up. Of two at once, one is first; what the form asks for is done for the first only.

    *now* is None where the database's clock is to be asked. What raises in the same transaction gives the key back.
    """
    fields = "\0".join(f"{name}={form[name]}" for name in sorted(form))
    slot = Slot(owner, "form", form[KEY], keyring.keyed_hash(fields, "form.fields"), scope=scope)
    kept = idempotency.mark(tx, slot, now=now)
    if kept is None:
        return Use.FIRST
    return Use.REPEATED if same(kept, slot.fingerprint) else Use.CHANGED
