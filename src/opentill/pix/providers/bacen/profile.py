"""Profiles: what is particular to one bank, in a data file (pix-rail.md §6.1)."""

import tomllib
from dataclasses import dataclass, field, fields
from enum import StrEnum
from importlib.resources import files
from typing import Any

from opentill.kernel.mode import Mode
from opentill.kernel.secret import Secret


class TokenAuth(StrEnum):
    """How the token call says who we are."""

    BASIC = "basic"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Profile:
    """One bank in one environment. `code_members` are the names its copy-and-paste code may go by."""

    base_url: str
    token_url: str
    token_auth: TokenAuth
    scopes: tuple[str, ...] = ()
    correlation_header: str | None = None
    error_parsers: tuple[str, ...] = ("problem",)
    code_members: tuple[str, ...] = ("pixCopiaECola",)
    features: dict[str, bool] = field(default_factory=dict)

    def offers(self, feature: str) -> bool:
        """Tell whether the bank has this part of the document, which is assumed unless the file denies it."""
        return self.features.get(feature, True)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a bank gave for one account."""

    client_id: str
    client_secret: Secret


def load_profile(name: str, mode: Mode) -> Profile:
    """Return the profile of the data file *name*. Raises `ValueError` naming what the file gets wrong."""
    text = (files("opentill.pix") / "profiles" / f"{name}.toml").read_text("utf-8")
    return read_profile(text, mode)


def read_profile(text: str, mode: Mode) -> Profile:
    """Read a profile. A member nobody knows is an error: a misspelt one would silently not apply."""
    members: dict[str, Any] = tomllib.loads(text)
    environments = members.pop("environments", {})
    environment = mode.name.lower()
    if environment not in environments:
        raise ValueError(f"the profile has no environment {environment!r}")
    members |= environments[environment]
    unknown = members.keys() - {known.name for known in fields(Profile)}
    if unknown:
        raise ValueError(f"the profile has unknown members: {', '.join(sorted(unknown))}")
    members["token_auth"] = TokenAuth(members["token_auth"])
    for name, value in members.items():
        members[name] = tuple(value) if isinstance(value, list) else value
    return Profile(**members)
