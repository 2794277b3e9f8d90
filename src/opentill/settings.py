"""Settings: the environment, read once by the command line into one frozen object that is passed on.

Nothing needs to be set to start: a data folder holds the SQLite file, the master key and the sandbox bank.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

DEFAULT_PORT: Final = 8000
POOL_SIZE: Final = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose. Names in the environment: `OPENTILL_` and the field in capitals."""

    data: Path = Path("data")
    database_url: str = ""  # empty: SQLite in the data folder
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    public_url: str = ""  # empty: http://host:port
    pool_size: int = POOL_SIZE  # connections to PostgreSQL
    trusted_proxies: str = ""  # addresses and networks, separated by commas
    log_file: str = ""  # empty: standard error
    dev: bool = False  # webhook receivers on loopback and on any port are allowed
    webhooks_allow: str = ""  # private hosts and networks webhooks may reach, separated by commas
    webhooks_ports: str = "80,443,1024-65535"
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
        """Fill what follows from the rest."""
        return replace(
            self,
            database_url=self.database_url or f"sqlite:///{self.data.resolve() / 'opentill.db'}",
            public_url=(self.public_url or f"http://{self.host}:{self.port}").rstrip("/"),
        )

    @property
    def embedded(self) -> bool:
        """Tell whether the database is SQLite in this process."""
        return self.database_url.startswith("sqlite:")

    @property
    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return the networks whose X-Forwarded-For is believed."""
        return tuple(ipaddress.ip_network(entry.strip()) for entry in self.trusted_proxies.split(",") if entry.strip())


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
