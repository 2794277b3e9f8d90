"""What payers see of a merchant: name, colour, logo, support; and where its day ends (merchant-api.md §17.4)."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.owner import Owner

COLOUR: Final = re.compile(r"#[0-9a-f]{6}", re.ASCII)
LOGO_BYTES_MAX: Final = 64 * 1024
AFTER_PAYMENT: Final = ("receipt", "redirect")
SIGNATURES: Final = (  # how a file of each type begins; drawings with scripts in them are none of these
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
)


@dataclass(frozen=True, slots=True)
class Brand:
    """A merchant's face. *after_payment*: whether payers see a receipt first or go straight back to the shop."""

    name: str
    colour: str | None = None  # `#rrggbb`; None is OpenTill's own
    logo_digest: str | None = None
    support_email: str | None = None
    support_phone: str | None = None
    time_zone: str = "America/Sao_Paulo"
    after_payment: str = "receipt"


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture as it is served."""

    media_type: str
    body: bytes


def brand_of(tx: ReadTx, owner: Owner) -> Brand:
    """Return an owner's brand."""
    [row] = tx.all(
        """
        select m.name, m.colour, l.digest, m.support_email, m.support_phone, m.time_zone, m.after_payment
          from merchant m left join merchant_logo l on l.merchant_id = m.id
         where m.id = :id
        """,
        id=owner.merchant_id,
    )
    return Brand(
        row["name"],
        row["colour"],
        row["digest"],
        row["support_email"],
        row["support_phone"],
        row["time_zone"],
        row["after_payment"],
    )


def set_brand(tx: Tx, brand: Brand, *, owner: Owner) -> None:
    """Save an owner's brand, but for its logo. Raises Invalid with every fault."""
    faults = _faults(brand)
    if faults:
        raise Invalid(faults)
    tx.run(
        """
        update merchant
           set name = :name, colour = :colour, support_email = :support_email, support_phone = :support_phone,
               time_zone = :time_zone, after_payment = :after_payment
         where id = :id
        """,
        id=owner.merchant_id,
        name=brand.name,
        colour=brand.colour,
        support_email=brand.support_email,
        support_phone=brand.support_phone,
        time_zone=brand.time_zone,
        after_payment=brand.after_payment,
    )


def set_logo(tx: Tx, picture: bytes | None, *, owner: Owner, now: Instant) -> None:
    """Save an owner's logo, or remove it. Raises Invalid for what is no PNG, JPEG or WebP of at most 64 KiB."""
    tx.run("delete from merchant_logo where merchant_id = :id", id=owner.merchant_id)
    if picture is None:
        return
    media_type = _media_type(picture)
    if media_type is None or len(picture) > LOGO_BYTES_MAX:
        raise Invalid([Fault("logo", "VALIDATION_FAILED", "The logo must be a PNG, JPEG or WebP of at most 64 KiB.")])
    tx.run(
        """
        insert into merchant_logo (merchant_id, media_type, body, digest, created_at)
        values (:id, :media_type, :body, :digest, :now)
        """,
        id=owner.merchant_id,
        media_type=media_type,
        body=picture,
        digest=hashlib.sha256(picture).hexdigest(),
        now=now,
    )


def logo(tx: ReadTx, digest: str) -> Logo | None:
    """Return the picture of a digest, as pages name it. Logos are public."""
    row = tx.one_or_none("select media_type, body from merchant_logo where digest = :digest limit 1", digest=digest)
    return Logo(row["media_type"], bytes(row["body"])) if row else None


def _faults(brand: Brand) -> list[Fault]:
    faults = []
    if not brand.name.strip():
        faults.append(Fault("name", "VALIDATION_FAILED", "The name is required."))
    if brand.colour is not None and COLOUR.fullmatch(brand.colour) is None:
        faults.append(Fault("colour", "VALIDATION_FAILED", "The colour must be written as #1a6b5f."))
    if brand.after_payment not in AFTER_PAYMENT:
        faults.append(Fault("after_payment", "VALIDATION_FAILED", "After payment comes a receipt or a redirect."))
    try:
        ZoneInfo(brand.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(Fault("time_zone", "VALIDATION_FAILED", "The time zone must be one such as America/Sao_Paulo."))
    return faults


def _media_type(picture: bytes) -> str | None:
    for media_type, signature in SIGNATURES:
        if picture.startswith(signature):
            return media_type
    return "image/webp" if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" else None
