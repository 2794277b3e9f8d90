"""Profiles: what is particular to one bank, in a data file (pix-rail.md §6.1). A bank is added without code."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Final

from opentill.kernel.errors import Refused
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Secret
from opentill.outbound.tls import TlsProfile

CODE: Final = "pixCopiaECola"
NAME: Final = re.compile(r"[a-z0-9_]{1,40}", re.ASCII)


class TokenAuth(StrEnum):
    """How the token call says who we are."""

    BASIC = "basic"
    FORM = "form"
    JSON_BASIC = "json_basic"
    CLIENT_ID_ONLY = "client_id_only"  # the certificate says the rest
    STATIC = "static"  # a token given by hand, never renewed
    PRIVATE_KEY_JWT = "private_key_jwt"


@dataclass(frozen=True, slots=True)
class WebhookAuth:
    """How a bank's notifications prove where they come from, beside the token in their address (§6.7).

    *suffix_member* ends the registered address in a dummy member, so that what the bank appends harms nothing;
    *register_headers* go with the registration itself, *unchecked_headers* with that of an account whose operator
    cannot check certificates.
    """

    client_certificate: bool = False
    sources: tuple[str, ...] = ()  # networks
    suffix_member: str | None = None
    register_headers: Mapping[str, str] = field(default_factory=dict)
    unchecked_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """One bank in one environment. Braces in headers and query members name a credential of the account.

    `path_versions` prefixes a resource's path, `PATCH cob` before `cob`; `response_aliases` are other names a
    member goes by. `payout_…` belong to the driver that sends money. A bank on a *private_network* is reached at an
    address the guarded client would refuse.
    """

    base_url: str
    token_url: str
    token_auth: TokenAuth
    name: str = ""
    bank: str = ""
    ispb: str = ""
    private_network: bool = False
    scopes: tuple[str, ...] = ()
    token_query: Mapping[str, str] = field(default_factory=dict)
    mtls: bool = False
    cert_format: str = "pem"
    http1_only: bool = False  # our client speaks nothing newer; kept because the bank says so
    static_headers: Mapping[str, str] = field(default_factory=dict)
    query_params: Mapping[str, str] = field(default_factory=dict)
    correlation_header: str | None = None
    reference_header: str | None = None  # takes the merchant's own id along
    path_versions: Mapping[str, str] = field(default_factory=dict)
    param_aliases: Mapping[str, str] = field(default_factory=dict)
    method_overrides: Mapping[str, str] = field(default_factory=dict)
    response_aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    error_parsers: tuple[str, ...] = ("problem",)
    features: Mapping[str, bool] = field(default_factory=dict)
    put_is_update: bool = True
    webhook_auth: WebhookAuth = WebhookAuth()
    payout_driver: str | None = None
    payout_base_url: str = ""
    payout_scopes: tuple[str, ...] = ()

    def offers(self, feature: str) -> bool:
        """Tell whether the bank has this part of the document, which is assumed unless the file denies it."""
        return self.features.get(feature, True)

    def reference(self, external_id: str | None) -> Mapping[str, str] | None:
        """Return the header that takes the merchant's own id along, where the bank wants it."""
        return {self.reference_header: external_id} if self.reference_header and external_id else None

    @property
    def braces(self) -> set[str]:
        """The names of what an account may have to bring beside id, secret and certificate."""
        members = (*self.static_headers.values(), *self.query_params.values(), *self.token_query.values())
        asked = {"token"} if self.token_auth is TokenAuth.STATIC else set()
        return asked.union(*map(_braces, members)) - {"client_id"}

    @property
    def code_members(self) -> tuple[str, ...]:
        """The names the copy-and-paste code may go by."""
        return (CODE, *self.response_aliases.get(CODE, ()))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a bank gave for one account. *more* fills the braces of the profile; *tls* is our certificate.

    *hook_roots* are the certificates, PEM, that issue what the bank presents where it notifies us;
    with *hook_unchecked* the operator does without.
    """

    client_id: str
    client_secret: Secret
    more: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: TlsProfile | None = None
    hook_roots: str | None = None
    hook_unchecked: bool = False

    def filled(self, members: Mapping[str, str]) -> dict[str, str]:
        """Return headers or query members with this account's credentials in their braces.

        What names a credential the account has not is left out: some banks ask for it only of some accounts.
        """
        known = {"client_id": self.client_id, **self.more}
        return {name: text.format_map(known) for name, text in members.items() if _braces(text) <= known.keys()}


class Profiles:
    """The profiles that come with OpenTill and those in an operator's *folder*, which come first."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def names(self, mode: Mode) -> list[str]:
        """Return the banks that can be reached in a mode."""
        own = [file.stem for file in self._folder.glob("*.toml")] if self._folder else []
        return sorted({name for name in (*profile_names(), *own) if NAME.fullmatch(name) and self._has(name, mode)})

    def load(self, name: str, mode: Mode) -> Profile:
        """Return a profile. Raises Refused where there is none of that name, or its file cannot be used."""
        own = self._folder / f"{name}.toml" if self._folder is not None and NAME.fullmatch(name) else None
        try:
            if own is not None and own.is_file():
                return read_profile(own.read_text("utf-8"), mode, name=name)
            if name in profile_names():
                return load_profile(name, mode)
        except (ValueError, KeyError, TypeError, OSError) as bad:
            raise Refused("BAD_PROFILE", "The profile %(name)s cannot be used: %(why)s.", name=name, why=bad) from None
        text, known = "There is no profile %(name)s. Known are: %(known)s.", ", ".join(self.names(mode))
        raise Refused("UNKNOWN_BANK", text, name=name, known=known)

    def _has(self, name: str, mode: Mode) -> bool:
        try:
            self.load(name, mode)
        except Refused:
            return False
        return True


def profile_names() -> list[str]:
    """Return the names of the profiles that come with OpenTill."""
    folder = files("opentill.pix") / "profiles"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


@cache
def load_profile(name: str, mode: Mode) -> Profile:
    """Return the profile of the data file *name*. Raises `ValueError` naming what the file gets wrong."""
    text = (files("opentill.pix") / "profiles" / f"{name}.toml").read_text("utf-8")
    return read_profile(text, mode, name=name)


def read_profile(text: str, mode: Mode, *, name: str = "") -> Profile:
    """Read a profile. A member nobody knows is an error: a misspelt one would silently not apply."""
    members: dict[str, Any] = tomllib.loads(text)
    environments = members.pop("environments", {})
    environment = mode.name.lower()
    if environment not in environments:
        raise ValueError(f"the profile has no environment {environment!r}")
    members |= environments[environment]
    _refuse_unknown(members, Profile, "the profile")
    members["token_auth"] = TokenAuth(members["token_auth"])
    if "webhook_auth" in members:
        _refuse_unknown(members["webhook_auth"], WebhookAuth, "webhook_auth")
        members["webhook_auth"] = WebhookAuth(**_frozen(members["webhook_auth"]))
    return Profile(**_frozen(members) | {"name": name})


def _refuse_unknown(members: Mapping[str, Any], known: type, what: str) -> None:
    unknown = members.keys() - {member.name for member in fields(known)}
    if unknown:
        raise ValueError(f"{what} has unknown members: {', '.join(sorted(unknown))}")


def _braces(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _frozen(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _frozen_value(value) for name, value in members.items()}


def _frozen_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return _frozen(value) if isinstance(value, dict) else value
