"""Proofs of payment: what payers upload. Judged by content, freed of what cameras add, sealed at rest."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring

FILES_MAX: Final = 3
BYTES_MAX: Final = 5 * 1024 * 1024
NAME_MAX: Final = 120
KEPT: Final = 180 * DAY  # after the payment is final

PNG: Final = b"\x89PNG\r\n\x1a\n"
PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"cHRM", b"sBIT"})
WEBP_DROPPED: Final = frozenset({b"EXIF", b"XMP ", b"ICCP"})
WEBP_FLAGS_KEPT: Final = 0b0001_0010  # alpha and animation
JPEG_START_OF_SCAN: Final = 0xDA
JPEG_DROPPED: Final = frozenset({*range(0xE1, 0xF0), 0xFE})  # APP1 to APP15, comments


@dataclass(frozen=True, slots=True)
class Proof:
    """A file, ready to be kept."""

    name: str
    media_type: str
    data: bytes


def accept(name: str, data: bytes) -> Proof:
    """Return an uploaded file as it may be kept. Raises Invalid for what is none of the kinds, or too large."""
    if len(data) > BYTES_MAX:
        raise _refused(f"A file has at most {BYTES_MAX // 1024 // 1024} MiB.")
    try:
        media_type, clean = _cleaned(data)
    except (struct.error, IndexError, ValueError) as broken:
        raise _refused("The file is damaged.") from broken
    plain = "".join(letter for letter in name if letter.isprintable() and letter not in "/\\")[-NAME_MAX:]
    return Proof(plain or "proof", media_type, clean)


def keep(tx: Tx, proof: Proof, submission_id: int, *, owner: Owner, keyring: Keyring, now: Instant) -> None:
    """Store a proof of a submission."""
    tx.run(
        """
        insert into proof (submission_id, merchant_id, mode, name, media_type, bytes, sealed, created_at)
        values (:submission_id, :merchant_id, :mode, :name, :media_type, :bytes, :sealed, :now)
        """,
        submission_id=submission_id,
        **owner.columns,
        name=proof.name,
        media_type=proof.media_type,
        bytes=len(proof.data),
        sealed=keyring.seal(proof.data, _context(submission_id)),
        now=now,
    )


def listed(tx: ReadTx, submission_id: int, *, owner: Owner) -> Sequence[tuple[int, str, str, int]]:
    """Return number, name, media type and size of a submission's proofs."""
    rows = tx.all(
        """
        select id, name, media_type, bytes from proof
         where submission_id = :submission_id and merchant_id = :merchant_id and mode = :mode order by id
        """,
        submission_id=submission_id,
        **owner.columns,
    )
    return [(row["id"], row["name"], row["media_type"], row["bytes"]) for row in rows]


def read(tx: ReadTx, proof_id: int, *, owner: Owner, keyring: Keyring) -> Proof:
    """Return one proof, to be sent as a download. Raises NotFound."""
    row = tx.one_or_none(
        """
        select submission_id, name, media_type, sealed from proof
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=proof_id,
        **owner.columns,
    )
    if row is None:
        raise NotFound("PROOF_NOT_FOUND", "There is no such proof.")
    return Proof(row["name"], row["media_type"], keyring.open(row["sealed"], _context(row["submission_id"])))


def purge(tx: Tx, *, now: Instant, rows_max: int) -> int:
    """Remove the proofs of payments that have been over for long; return how many."""
    return tx.run(
        """
        delete from proof where id in (
            select f.id from proof f
              join submission s on s.id = f.submission_id
              join payment p on p.id = s.payment_id
             where f.created_at < :before and p.updated_at < :before and p.status not in ('pending', 'processing')
             order by f.id limit :most)
        """,
        before=now - KEPT,
        most=rows_max,
    )


def _cleaned(data: bytes) -> tuple[str, bytes]:
    """Return the media type of a file, told by its content, and its bytes without metadata."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", b"".join(_jpeg_parts(data))
    if data.startswith(PNG):
        return "image/png", PNG + b"".join(_png_parts(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        body = b"WEBP" + b"".join(_webp_parts(data))
        return "image/webp", b"RIFF" + struct.pack("<I", len(body)) + body
    if data.startswith(b"%PDF-"):
        return "application/pdf", data
    raise _refused("A proof is a JPEG, PNG or WebP picture, or a PDF.")


def _jpeg_parts(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    at = 2
    while data[at] == 0xFF and data[at + 1] != JPEG_START_OF_SCAN:
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end > len(data):
            raise ValueError("a segment is longer than the file")
        if data[at + 1] not in JPEG_DROPPED:
            yield data[at:end]
        at = end
    yield data[at:]


def _png_parts(data: bytes) -> Iterator[bytes]:
    at = len(PNG)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk is longer than the file")
        if kind in PNG_KEPT:
            yield data[at:end]
        if kind == b"IEND":
            return
        at = end
    raise ValueError("the file does not end")


def _webp_parts(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if end > len(data):
            raise ValueError("a chunk is longer than the file")
        if kind == b"VP8X":
            yield data[at : at + 8] + bytes([data[at + 8] & WEBP_FLAGS_KEPT]) + data[at + 9 : end]
        elif kind not in WEBP_DROPPED:
            yield data[at:end]
        at = end


def _refused(message: str) -> Invalid:
    return Invalid([Fault("proof", "VALIDATION_FAILED", message)])


def _context(submission_id: int) -> str:
    return f"proof.sealed/{submission_id}"
