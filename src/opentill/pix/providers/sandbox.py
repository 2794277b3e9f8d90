"""What the sandbox bank can do beyond any real one: open accounts, pay, and fail on request."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentill.kernel.secret import Secret
from opentill.pix.port import Ambiguous, NotSent, Refused
from opentill.pix.providers.bacen.problems import read_object, read_problem
from opentill.pix.providers.bacen.profile import Credentials
from opentill.pix.providers.transport import RawAnswer, Transport

SANDBOX_URL: Final = "https://pix.sandbox.opentill.test"
TIMEOUT_S: Final = 10.0


class SandboxHooks:
    """The hooks of a sandbox bank, wherever it runs. Raises `NotSent`, `Ambiguous` and `Refused` of the port."""

    def __init__(self, transport: Transport, sim_token: Secret, url: str = SANDBOX_URL) -> None:
        self._transport = transport
        self._sim_token = sim_token
        self._url = url

    async def open_account(
        self, credentials: Credentials, *, document: str, name: str, city: str, keys: Sequence[str]
    ) -> None:
        """Open the account of these credentials, or bring it up to date; its keys are only ever added to.

        Store the credentials first: then this may be repeated. Refusals: `bad_document` (a CNPJ is
        needed), `bad_text`, `bad_key`, `key_taken`.
        """
        asked = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.reveal(),
            "document": document,
            "name": name,
            "city": city,
            "keys": list(keys),
        }
        await self._post("accounts", asked)

    async def pay(self, order: Mapping[str, Any]) -> list[str]:
        """Have a payer pay and return the end-to-end ids.

        *order* names one of `txid`, `code`, `key`, and may add `client_id`, `amount` (centavos), `label`,
        `payer` (`name`, `document`), `e2e_id`, `count`, `notify` (`now`, `never`, `twice`), `delay_ms`,
        `message`, and `force` to pay what a real payer's bank would not.
        """
        answer = await self._post("pay", order)
        return [str(e2e_id) for e2e_id in answer["e2e_ids"]]

    async def add_fault(self, fault: Mapping[str, Any]) -> str:
        """Script a fault (`operation`, `fault`, `client_id`, `count`, `delay_ms`, `match`); return its id."""
        return str((await self._post("faults", fault))["id"])

    async def faults(self, client_id: str) -> list[dict[str, Any]]:
        """Return the faults an account has still to meet."""
        answer = await self._call("GET", f"faults?client_id={client_id}", b"")
        found: list[dict[str, Any]] = (read_object(answer.body) or {}).get("faults", [])
        return found

    async def clear_faults(self, client_id: str) -> None:
        """Forget the faults of an account."""
        await self._call("DELETE", f"faults?client_id={client_id}", b"")

    async def _post(self, hook: str, document: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self._call("POST", hook, json.dumps(document).encode())
        return read_object(answer.body) or {}

    async def _call(self, method: str, hook: str, body: bytes) -> RawAnswer:
        headers = {"X-Sim-Token": self._sim_token.reveal(), "Content-Type": "application/json"}
        answer = await self._transport.request(method, f"{self._url}/_sim/{hook}", headers, body, TIMEOUT_S)
        if 200 <= answer.status <= 299:
            return answer
        if answer.status >= 500:
            raise Ambiguous(f"the sandbox bank answered {answer.status}")
        if answer.status == 403:
            raise NotSent("the sandbox bank does not take our simulation token")
        said = read_object(answer.body) or {}
        problem = read_problem(answer, ("problem",))
        code = str(said.get("code") or problem.name)
        raise Refused(code, str(said.get("message") or problem.detail))
