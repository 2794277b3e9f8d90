"""Settings: the environment, read once by the command line into one frozen object that is passed on.

Nothing needs to be set to start: a data folder holds the SQLite file, the master key and the sandbox bank.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

DEFAULT_PORT: Final = 8000
POOL_SIZE: Final = 8
PIX_WORDS: Final = {
    "pix_compat_external_id_invalid": ("reject", "null"),
    "pix_compat_dynamic_amount": ("must_match", "payload_wins"),
}
MAIL_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
MAIL_DAYS_MIN: Final = 15  # a key that ends within 14 days is told of once, as long as that is remembered
MAIL_LANGUAGES: Final = ("pt-BR", "en", "es")
MAIL_FROM: Final = re.compile(r"(?:[^<>\x00-\x1f\x7f\"\\]{0,100}<)?[^@<>\s]{1,64}@[A-Za-z0-9.-]{1,189}>?", re.ASCII)
LEASE_SPARE_S: Final = 20  # by which a lease outlasts the longest attempt
ANSWER_BYTES_MAX: Final = 64 * 1024  # more of an answer is not read: READ_BYTES_DEFAULT of outbound.model
REPLAY_RATE_MAX: Final = 500  # RATE_MAX of webhooks.service.replays


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose. Names in the environment: `OPENTILL_` and the field in capitals."""

    data: Path = Path("data")
    database_url: str = ""  # empty: SQLite in the data folder
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    public_url: str = ""  # empty: http://host:port
    pool_size: int = POOL_SIZE  # connections to PostgreSQL that write
    idempotency_hours: int = 24  # an idempotency key of the merchant API is kept for this long from its first use
    redis_url: str = ""  # where processes count rate limits together; empty: each counts for itself
    key_rate_limit: int = 120  # requests per minute of an API key that names no limit of its own
    address_rate_limit: int = 60  # requests per minute of an address without a valid API key
    trusted_proxies: str = ""  # addresses and networks, separated by commas
    client_certificate_header: str = ""  # in which they pass on what the caller presented; empty: they do not
    log_file: str = ""  # empty: standard error
    dev: bool = False  # webhook receivers on loopback and on any port are allowed
    webhooks_allow: str = ""  # private hosts and networks webhooks may reach, separated by commas
    webhooks_ports: str = "80,443,1024-65535"
    webhooks_egress_proxy: str = ""  # through which every call leaves: http://[user:password@]host[:port]
    webhooks_nat64: bool = False  # this host has IPv6 only: the IPv4 address inside a translated one is judged
    webhooks_keep_private_answers: bool = False  # the log keeps what allowed private addresses answer
    webhooks_answer_kept_bytes: int = 4096  # of an answer's body, in the attempt log; KEPT_BYTES_DEFAULT there
    webhooks_in_flight_max: int = 256  # attempts at once in one process
    webhooks_per_merchant_max: int = 64  # the same for one merchant
    webhooks_lease_s: int = 60  # how long a worker may hold a delivery without a sign of life
    webhooks_heartbeat_s: int = 15
    webhooks_timeout_default_s: int = 10  # how long an attempt may take whose endpoint names no limit
    webhooks_timeout_max_s: int = 30  # the longest an attempt may take, whatever its endpoint says
    webhooks_endpoints_max: int = 20  # of a merchant and mode
    webhooks_replay_rate: int = 50  # deliveries a second of a job that sends again
    webhooks_portal_link_max_days: int = 30  # the longest a link to the portal works
    webhooks_disable_after_days: int = 5  # of nothing but failures
    webhooks_disable_min_attempts: int = 10
    webhooks_attempt_days: int = 30  # how long the attempt log is kept
    webhooks_payload_days: int = 30  # how long the bytes of a body are kept after its last delivery
    webhooks_event_days: int = 90  # how long events and their finished deliveries are kept
    request_log_days: int = 30  # how long requests of API keys and credentials are listed
    request_log_rows_max: int = 1_000_000  # the oldest beyond these are forgotten earlier
    webhooks_validate_bodies: bool = False  # hold every body against its schema while planning
    pix_rate_authenticated_per_minute: int = 60_000  # requests of an address to the PIX API
    pix_rate_failed_per_minute: int = 5  # failed sign-ins of an address there
    pix_charge_ttl_seconds: int = 86_400  # how long a charge lives that names no expires_in
    pix_idempotency_body_check: bool = False  # another body under a used Idempotency-Key is refused, not replayed
    pix_compat_refund_reason_required: bool = False
    pix_compat_external_id_invalid: str = "reject"  # or null: a bad external_id is dropped
    pix_compat_dynamic_amount: str = "must_match"  # or payload_wins: what the code's payload says is sent
    pix_webhooks_max_endpoints: int = 5
    pix_webhooks_extra_events: bool = False  # endpoints may name the extra events
    pix_webhooks_allow_private_addresses: bool = False  # every private address and loopback, for tests
    pix_live_host: str = ""  # a host name that takes live credentials only
    pix_sandbox_host: str = ""
    mail_host: str = ""  # the server that takes our mail; empty: none is sent
    mail_port: int = 0  # 0: 465 with tls, 587 with starttls, 25 with none
    mail_security: str = "starttls"  # or tls, or none
    mail_user: str = ""  # empty: we do not sign in
    mail_password: str = ""
    mail_from: str = ""  # our address, perhaps with a name: OpenTill <till@shop.example>
    mail_language: str = "en"  # of letters to people whose language nobody knows
    mail_days: int = 30  # how long it is listed that a letter was sent
    metrics_token: str = ""  # who shows it may read /metrics; empty: nobody
    master_key_file: str = ""  # empty: master.key in the data folder
    trace_sql: str = ""  # a file that gets every statement; for the benchmarks

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **chosen: Any) -> Self:
        """Read `OPENTILL_…`; what the command line *chose* (not None) wins."""
        found: dict[str, Any] = {}
        for name, default in cls._defaults().items():
            text = environment.get(f"OPENTILL_{name.upper()}")
            if text is not None:
                found[name] = _read(name, text, default)
        found.update({name: value for name, value in chosen.items() if value is not None})
        return cls(**found).completed()

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        plain = cls()
        return {name: getattr(plain, name) for name in cls.__slots__}

    def completed(self) -> Self:
        """Fill what follows from the rest. Raises BadSettingError where two contradict each other."""
        self._check_webhooks()
        self._check_bounds()
        self._check_pix()
        self._check_mail()
        return replace(
            self,
            database_url=self.database_url or f"sqlite:///{self.data.resolve() / 'opentill.db'}",
            public_url=(self.public_url or f"http://{self.host}:{self.port}").rstrip("/"),
        )

    def _check_webhooks(self) -> None:
        """A worker that is alive must never lose what it is sending."""
        if self.webhooks_lease_s < self.webhooks_timeout_max_s + LEASE_SPARE_S:
            raise BadSettingError(
                f"OPENTILL_WEBHOOKS_LEASE_S must exceed OPENTILL_WEBHOOKS_TIMEOUT_MAX_S by {LEASE_SPARE_S} seconds"
            )
        if not 1 <= self.webhooks_heartbeat_s * 3 <= self.webhooks_lease_s:
            raise BadSettingError(
                "OPENTILL_WEBHOOKS_HEARTBEAT_S must be at least one second and at most a third of"
                " OPENTILL_WEBHOOKS_LEASE_S"
            )
        if not 1 <= self.webhooks_timeout_default_s <= self.webhooks_timeout_max_s:
            raise BadSettingError(
                "OPENTILL_WEBHOOKS_TIMEOUT_DEFAULT_S must be at least one second and at most"
                " OPENTILL_WEBHOOKS_TIMEOUT_MAX_S"
            )
        kept = self.webhooks_answer_kept_bytes
        if not 0 <= kept <= ANSWER_BYTES_MAX:
            raise BadSettingError(
                f"OPENTILL_WEBHOOKS_ANSWER_KEPT_BYTES takes 0 to {ANSWER_BYTES_MAX} bytes, not {kept}"
            )

    def _check_bounds(self) -> None:
        """See that owners of endpoints may have any, and that what they missed is sent again."""
        for name in ("webhooks_endpoints_max", "webhooks_portal_link_max_days"):
            if getattr(self, name) < 1:
                raise BadSettingError(f"OPENTILL_{name.upper()} must be at least 1")
        if not 1 <= self.webhooks_replay_rate <= REPLAY_RATE_MAX:
            raise BadSettingError(
                f"OPENTILL_WEBHOOKS_REPLAY_RATE takes 1 to {REPLAY_RATE_MAX} a second, not {self.webhooks_replay_rate}"
            )

    def _check_pix(self) -> None:
        for name, words in PIX_WORDS.items():
            if getattr(self, name) not in words:
                raise BadSettingError(f"OPENTILL_{name.upper()} takes {' or '.join(words)}")

    def _check_mail(self) -> None:
        """A letter needs a sender, and a password is never sent over the open network."""
        if self.mail_security not in MAIL_PORTS:
            raise BadSettingError(f"OPENTILL_MAIL_SECURITY takes {' or '.join(MAIL_PORTS)}")
        if self.mail_days < MAIL_DAYS_MIN:
            raise BadSettingError(f"OPENTILL_MAIL_DAYS must be at least {MAIL_DAYS_MIN}")
        if self.mail_language not in MAIL_LANGUAGES:
            raise BadSettingError(f"OPENTILL_MAIL_LANGUAGE takes {' or '.join(MAIL_LANGUAGES)}")
        if not self.mail_host:
            return
        if not MAIL_FROM.fullmatch(self.mail_from):
            raise BadSettingError("OPENTILL_MAIL_FROM takes an address, such as OpenTill <till@shop.example>")
        if self.mail_user and self.mail_security == "none":
            raise BadSettingError("OPENTILL_MAIL_USER needs OPENTILL_MAIL_SECURITY=starttls or tls")

    @property
    def embedded(self) -> bool:
        """Tell whether the database is SQLite in this process."""
        return self.database_url.startswith("sqlite:")

    @property
    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return the networks whose X-Forwarded-For is believed."""
        return tuple(ipaddress.ip_network(entry) for entry in self.proxy_entries)

    @property
    def proxy_entries(self) -> tuple[str, ...]:
        """Return the same as they were written."""
        return tuple(entry.strip() for entry in self.trusted_proxies.split(",") if entry.strip())

    @property
    def bank_profiles(self) -> Path:
        """Return the folder of profiles an operator wrote."""
        return self.data / "banks"


class BadSettingError(ValueError):
    """A variable of the environment holds something unreadable; the message says which and what it takes."""


def _read(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text.lower() not in {"1", "0", "true", "false", "yes", "no", ""}:
            raise BadSettingError(f"OPENTILL_{name.upper()} takes true or false, not {text!r}")
        return text.lower() in {"1", "true", "yes"}
    if isinstance(default, int):
        if not text.isascii() or not text.isdigit():
            raise BadSettingError(f"OPENTILL_{name.upper()} takes a whole number, not {text!r}")
        return int(text)
    return Path(text) if isinstance(default, Path) else text
