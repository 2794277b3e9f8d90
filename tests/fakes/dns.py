"""A resolver that answers from a script.

    dns = ScriptedDns({"shop.test": ["203.0.114.7"]})
    dns.answers("rebind.test", ["1.1.1.1"], ["127.0.0.1"])   # the first look-up, then every later one
    dns.alias("www.shop.test", "shop.test")
    client = Outbound(lookup=dns)

It is called on look-up threads, as the system's resolver is.
"""

import socket
import threading
from collections.abc import Mapping, Sequence

FAIL: Sequence[str] = ()
ALIASES_MAX = 8


class ScriptedDns:
    """Names and their answers in turn; the last answer stays. A name that was not scripted does not exist."""

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self._scripts: dict[str, list[Sequence[str]]] = {name: [found] for name, found in (names or {}).items()}
        self._aliases: dict[str, str] = {}
        self._stuck: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self.asked: list[str] = []
        self.running_max = 0
        self._running = 0

    def __call__(self, host: str) -> Sequence[str]:
        with self._lock:
            self.asked.append(host)
            self._running += 1
            self.running_max = max(self.running_max, self._running)
        try:
            stuck = self._stuck.get(host)
            if stuck is not None:
                stuck.wait(timeout=30)
            return self._found(host)
        finally:
            with self._lock:
                self._running -= 1

    def answers(self, name: str, *found: Sequence[str]) -> None:
        """Script the answers of a name, one a look-up."""
        with self._lock:
            self._scripts[name] = list(found)

    def alias(self, name: str, target: str) -> None:
        """Make a name a CNAME of another."""
        self._aliases[name] = target

    def hang(self, name: str) -> threading.Event:
        """Let look-ups of a name wait until the returned event is set."""
        self._stuck[name] = threading.Event()
        return self._stuck[name]

    def release(self) -> None:
        """Let every waiting look-up go on."""
        for event in self._stuck.values():
            event.set()

    def _found(self, host: str) -> Sequence[str]:
        for _ in range(ALIASES_MAX):
            host = self._aliases.get(host, host)
        with self._lock:
            script = self._scripts.get(host, [FAIL])
            found = script.pop(0) if len(script) > 1 else script[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found
