"""Reading the fields of a merchant API request: one by one, every fault kept (merchant-api.md §1.1, §6.1)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from opentill.kernel.clock import Instant, from_datetime
from opentill.kernel.errors import Fault
from opentill.kernel.json_text import compact
from opentill.kernel.money import Currency, MalformedAmountError, Money, UnknownCurrencyError, currency, parse
from opentill.kernel.number import OutOfRangeError, ordinary

URL_MAX: Final = 2_048
METADATA_BYTES_MAX: Final = 16 * 1024
EXPIRES_IN_S: Final = (60, 2_592_000)
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # but not tab and line breaks
UNWRITABLE: Final = re.compile(r"[\s\\]")
WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


class Fields:
    """One request's fields, read one by one; every fault is kept, so that one answer names them all.

    The first of a field's names wins; a fault is told under the name the caller sent. Numbers arrive as their
    literal text. Empty text counts as absent.
    """

    def __init__(self, fields: Mapping[str, Any], faults: list[Fault] | None = None, prefix: str = "") -> None:
        self._fields = fields
        self._prefix = prefix
        self.faults: list[Fault] = faults if faults is not None else []

    def fault(self, field: str, code: str, message: str) -> None:
        self.faults.append(Fault(self._prefix + field, code, message))

    def raw(self, *names: str) -> tuple[str, Any]:
        """Return the name that was sent and its value, or the first name and None."""
        for name in names:
            value = self._fields.get(name) if "." not in name else self._inside(*name.split("."))
            if value is not None and value != "":
                return name, value
        return names[0], None

    def _inside(self, outer: str, name: str) -> Any:
        """Return a field of a field, such as the customer's name."""
        value = self._fields.get(outer)
        return value.get(name) if isinstance(value, dict) else None

    def text(self, *names: str, required: bool = False, most: int | None = None, cut: int | None = None) -> str | None:
        name, value = self.raw(*names)
        if value is None:
            stripped = ""
        elif isinstance(value, str):
            stripped = value.strip()
        elif isinstance(value, bool):
            stripped = "true" if value else "false"
        else:
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must be text.")
            return None
        if not stripped:
            if required:
                self.fault(name, "VALIDATION_FAILED", f"The {name} field is required.")
            return None
        if CONTROL.search(stripped):
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must not contain control characters.")
            return None
        if most is not None and len(stripped) > most:
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must have at most {most} characters.")
            return None
        return stripped[:cut]

    def amount(
        self, of: Currency | None, name: str = "amount", *, required: bool = True, zero: bool = False
    ) -> Money | None:
        """Read an exact amount above zero, or from *zero*. Without a known currency only its form is judged."""
        _, value = self.raw(name)
        if value is None:
            if required:
                self.fault(name, "INVALID_AMOUNT", f"The {name} field is required.")
            return None
        if not isinstance(value, str):
            self.fault(name, "INVALID_AMOUNT", f"The {name} must be a plain decimal number, for example 99.90.")
            return None
        try:
            amount = parse(value, of or currency("USD"))
        except MalformedAmountError as malformed:
            if of is not None or "plain decimal" in str(malformed):
                self.fault(name, "INVALID_AMOUNT", str(malformed))
            return None
        if amount.units == 0 and not zero:
            self.fault(name, "INVALID_AMOUNT", f"{name} must be greater than zero")
        return amount

    def currency(self) -> Currency | None:
        name, value = self.raw("currency")
        if value is None:
            self.fault(name, "INVALID_CURRENCY", "The currency field is required.")
            return None
        try:
            return currency(value.strip().upper() if isinstance(value, str) else "")
        except UnknownCurrencyError:
            self.fault(name, "INVALID_CURRENCY", "Invalid currency code.")
            return None

    def flag(self, name: str, *, otherwise: bool) -> bool:
        """Read a yes or no, as a boolean or as its text."""
        _, value = self.raw(name)
        known = value if value is None or isinstance(value, bool) else FLAGS.get(str(value).strip().lower())
        if value is not None and known is None:
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must be true or false.")
        return otherwise if known is None else known

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        """Read a whole number within limits."""
        _, value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str) and WHOLE.fullmatch(value.strip()) and least <= int(value) <= most:
            return int(value)
        self.fault(name, "VALIDATION_FAILED", f"The {name} field must be a whole number from {least} to {most}.")
        return None

    def time(self, name: str) -> Instant | None:
        """Read an instant: an ISO 8601 time with its offset."""
        text = self.text(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return from_datetime(moment)
        except (ValueError, OverflowError):
            pass
        self.fault(name, "VALIDATION_FAILED", f"The {name} field must be a time such as 2026-07-20T14:30:00Z.")
        return None

    def items(self, name: str, *, most: int) -> list["Fields"]:
        """Read a list of objects, each with fields of its own, whose faults are told as `items.0.price`."""
        _, value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must be a list of objects.")
            return []
        if len(value) > most:
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must have at most {most} entries.")
            return []
        return [Fields(item, self.faults, f"{name}.{number}.") for number, item in enumerate(value)]

    def url(self, *names: str, code: str, required: bool = False) -> str | None:
        name, sent = self.raw(*names)
        if sent is None and not required:
            return None
        before = len(self.faults)
        value = self.text(name, required=required)
        if len(self.faults) > before:
            self.faults[-1] = Fault(self._prefix + name, code, self.faults[-1].message)
        if value is not None and not _is_web_address(value):
            self.fault(name, code, f"The {name} field must be an absolute http or https address.")
            return None
        return value

    def metadata(self) -> str:
        name, value = self.raw("metadata")
        if value is None or value == []:
            return "{}"
        if not isinstance(value, Mapping):
            self.fault(name, "VALIDATION_FAILED", "The metadata field must be an object.")
            return "{}"
        try:
            text = plain_json(ordinary(value))
        except OutOfRangeError as number:
            self.fault(name, "VALIDATION_FAILED", f"The metadata field holds a number nobody can read: {number}.")
            return "{}"
        if len(text.encode()) > METADATA_BYTES_MAX:
            self.fault(name, "VALIDATION_FAILED", "The metadata field must have at most 16 KiB as JSON.")
        return text

    def expires_in(self) -> int | None:
        least, most = EXPIRES_IN_S
        return self.whole("expires_in", least=least, most=most)


def plain_json(value: object) -> str:
    """Write a JSON value compactly."""
    return compact(value).decode()


def _is_web_address(text: str) -> bool:
    """Tell whether a text is an absolute http(s) address with a host, at most 2,048 characters, without blanks."""
    if len(text) > URL_MAX or UNWRITABLE.search(text):
        return False
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_fine
