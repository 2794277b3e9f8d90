"""How much work a PKCS#12 file asks of whoever opens it, told before it is opened (RFC 7292, RFC 8018).

A file says itself how many rounds harden its password, up to 2³¹ for each of its parts: opening it would stop the
process for as long as the file likes. Every such count is an INTEGER right behind its salt, an OCTET STRING. What lies
within an encrypted part is not seen.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

END, INTEGER, OCTETS, NAME, OCTETS_IN_PIECES = 0x00, 0x02, 0x04, 0x06, 0x24  # tags
CONSTRUCTED: Final = 0x20  # bit of a tag: its elements follow
SEQUENCE: Final = b"\x30"
SCRYPT: Final = bytes.fromhex("2b06010401da47040b")  # counts otherwise, and no bank uses it
BOUNDLESS: Final = 2**31
WRAPPED: Final = 2  # the file is a list in an OCTET STRING, and so is each of its parts


def rounds(file: bytes, wrapped: int = WRAPPED) -> int:
    """Return how many rounds the parts of a file ask for, all together; 0 for what is no such file."""
    found, octets = 0, None  # those right before an element
    for tag, content in (*_elements(file), (SEQUENCE[0], b"")):
        if tag == END:
            continue
        if tag in (OCTETS, OCTETS_IN_PIECES):
            octets = (octets or b"") + content
            continue
        if tag == INTEGER and octets is not None:
            found += int.from_bytes(content)
        if tag == NAME and content == SCRYPT:
            found += BOUNDLESS
        if wrapped and octets is not None and octets.startswith(SEQUENCE):
            found += rounds(octets, wrapped - 1)
        octets = None
    return found


def _elements(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of every element, those of constructed ones in their turn; both DER and BER are read."""
    rest = BytesIO(encoded)
    while first := rest.read(1):
        tag = first[0]
        if tag & 0x1F == 0x1F:  # a tag of several octets, none that is looked for
            while rest.read(1) >= b"\x80":
                pass
        length = int.from_bytes(rest.read(1))
        if length & 0x80:
            length = int.from_bytes(rest.read(length & 0x7F))
        yield tag, b"" if tag & CONSTRUCTED else rest.read(min(length, len(encoded)))
