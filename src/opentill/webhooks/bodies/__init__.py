"""Payload bytes: pure functions of an event and a variant. Same input, same bytes, for ever (webhooks.md
§2.3).

A variant is `dialect/version/options`: `merchant/1.0/string`, `merchant/1.0/number`, `pix/1`,
`standard/2026-11-01/thin`.
Two endpoints of the same variant share the bytes.
A change of any byte is a new version, never a change of an old one.
"""

from typing import Final

from opentill.webhooks.bodies import merchant, pix, standard
from opentill.webhooks.model import AmountFormat, Dialect, Endpoint, Options, PayloadStyle, RecordedEvent

BODY_BYTES_MAX: Final = 256 * 1024


class UnrenderableError(Exception):
    """The document lacks what the body must show, or makes it too large. A programming error."""


def variant_of(dialect: Dialect, options: Options) -> str:
    """Return the variant an endpoint's deliveries are written in."""
    match dialect:
        case Dialect.MERCHANT:
            return f"merchant/{merchant.VERSION}/{options.amount_format}"
        case Dialect.PIX:
            return f"pix/{pix.VERSION}"
        case Dialect.STANDARD:
            return f"standard/{options.payload_version or standard.VERSION}/{options.payload_style}"


def variant_for(endpoint: Endpoint) -> str:
    return variant_of(endpoint.dialect, endpoint.options)


def render(event: RecordedEvent, variant: str) -> bytes:
    """Return the body of an event in a variant. Raises `UnrenderableError`."""
    dialect, _, rest = variant.partition("/")
    try:
        match dialect:
            case "merchant":
                body = merchant.render(event, AmountFormat(rest.partition("/")[2]))
            case "pix":
                body = pix.render(event)
            case "standard":
                body = standard.render(event, PayloadStyle(rest.partition("/")[2]))
            case _:
                raise UnrenderableError(f"no renderer for {variant}")
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        raise UnrenderableError(f"{event.id} ({event.type}) as {variant}: {fault!r}") from fault

    if len(body) > BODY_BYTES_MAX:
        raise UnrenderableError(f"{event.id} ({event.type}) as {variant}: {len(body)} bytes")
    return body
