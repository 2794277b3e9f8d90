"""C4: idempotency keys, every cell of the table of key rules (bars.md §8), on every surface.

Generated from the table: each cell with words in it needs a check of its own here, and fails without one. Where the
document is not at hand, every check that is here runs.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
import structlog

from opentill.db import Database
from opentill.kernel.clock import HOUR, MINUTE, SECOND, Instant
from opentill.kernel.errors import Conflict
from opentill.kernel.owner import Owner
from opentill.pix.port import Denied, NotSent
from opentill.web import forms, idempotency
from opentill.web.forms import Stamps, Use
from opentill.web.idempotency import Slot
from tests.contract.api.client import Response
from tests.contract.api.house import CASH_IN, HOOK, PAYMENT, House, open_house

pytestmark = pytest.mark.anyio

DOCUMENT: Final = Path(__file__).parents[3] / "shared" / "spec" / "bars.md"
ROW: Final = re.compile(r"^\| (I\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)
SURFACES: Final = ("merchant", "pix", "forms")
NOTHING: Final = "–"

Check = Callable[["Bench"], Awaitable[None]]
CHECKS: Final[dict[tuple[str, str], Check]] = {}


def checks(*cells: str) -> Callable[[Check], Check]:
    """Enter a check for cells of the table, named `I1 merchant`."""

    def enter(check: Check) -> Check:
        for cell in cells:
            row, surface = cell.split()
            assert (row, surface) not in CHECKS, cell
            CHECKS[row, surface] = check
        return check

    return enter


def cells() -> Iterator[tuple[str, str]]:
    """Yield every cell of the table that says something."""
    if not DOCUMENT.exists():
        yield from CHECKS
        return
    chapter = DOCUMENT.read_text().split("\n## 8. ")[1].split("\n## 9. ")[0]
    for row, *texts in ROW.findall(chapter):
        for surface, text in zip(SURFACES, texts, strict=True):
            if text.strip() != NOTHING:
                yield row, surface


@dataclass
class Bench:
    """Both APIs and the forms, and sentences about keys."""

    house: House

    @property
    def owner(self) -> Owner:
        return self.house.shop.merchant.owner

    async def pays(self, key: str | None, *, path: str = "/payments", **fields: object) -> Response:
        headers = {} if key is None else {"idempotency-key": key}
        return await self.house.merchant("POST", path, {**PAYMENT, **fields}, headers=headers)

    async def hooks(self, key: str | None, path: str = "/webhooks", **fields: object) -> Response:
        return await self.house.pix("POST", path, {**HOOK, **fields}, headers={"idempotency-key": key})

    async def charges(self, key: str | None, **fields: object) -> Response:
        return await self.house.pix("POST", "/pix/cash-in", {**CASH_IN, **fields}, headers={"idempotency-key": key})

    def form(self, **fields: str) -> dict[str, str]:
        stamp = self.stamps.make("pay", "99.90")
        return {forms.KEY: stamp.key, forms.DIGEST: stamp.digest, **fields}

    @property
    def stamps(self) -> Stamps:
        return Stamps(self.house.scene.keyring, self.house.scene.ids)

    async def uses(self, form: dict[str, str], scope: str = "checkout/1/pay", owner: Owner | None = None) -> Use:
        now, keyring = self.house.clock.now(), self.house.scene.keyring
        return await self.house.db.write(
            lambda tx: forms.use(tx, form, scope, owner=owner or self.owner, keyring=keyring, now=now)
        )

    async def kept(self) -> list[dict[str, object]]:
        rows = await self.house.db.read(lambda tx: tx.all("select * from idempotency"))
        return [dict(row) for row in rows]

    async def running(self, surface: str, key: str, scope: str, *, for_s: int = 60) -> None:
        """Have another process be at work under a key."""
        now = self.house.clock.now()
        await self.house.run(
            """
            insert into idempotency (merchant_id, mode, surface, scope, key, fingerprint, state,
                                     created_at, locked_until_at, expires_at)
            values (:m, :mode, :surface, :scope, :key, 'f', 'running', :now, :until, :until + 86400000000)
            """,
            m=self.owner.merchant_id, mode=int(self.owner.mode), surface=surface, scope=scope, key=key, now=now,
            until=now + for_s * SECOND,
        )  # fmt: skip


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(await open_house(database, tmp_path, key_rate_limit=100_000))


@pytest.mark.bar("C4")
@pytest.mark.checklist("M21", "X21")
@pytest.mark.parametrize(("row", "surface"), list(cells()), ids=" ".join)
async def test_keys_do_what_the_table_says(bench: Bench, row: str, surface: str) -> None:
    assert (row, surface) in CHECKS, f"no check of the cell {row} {surface}"

    await CHECKS[row, surface](bench)

    await bench.house.close()


def replayed(answer: Response) -> bool:
    return "true" in (answer.headers.get("idempotent-replayed"), answer.headers.get("x-idempotent-replay"))


def is_conflict(answer: Response, code: str) -> bool:
    return (answer.status, answer.json()["code"]) == (409, code)


# I1, I2: where the key is


@checks("I1 merchant", "I10 merchant", "I22 merchant")
async def a_repeat_gets_the_stored_bytes_and_fresh_headers(bench: Bench) -> None:
    first = await bench.pays("k")
    before = await bench.house.rows()
    again = await bench.house.merchant(
        "POST", "/payments", PAYMENT, headers={"Idempotency-KEY": "k", "x-request-id": "r2"}
    )

    assert (first.status, replayed(first), replayed(again)) == (201, False, True)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["x-request-id"] == "r2"
    assert int(again.headers["x-ratelimit-remaining"]) == int(first.headers["x-ratelimit-remaining"]) - 1
    assert await bench.house.rows() == before


@checks("I1 pix", "I10 pix", "I22 pix")
async def a_pix_repeat_gets_the_stored_bytes_and_both_echo_the_key(bench: Bench) -> None:
    first = await bench.hooks("k")
    before = await bench.house.rows()
    again = await bench.hooks("k")

    assert (first.status, replayed(first), replayed(again)) == (201, False, True)
    assert (again.status, again.body) == (first.status, first.body)
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == "k"
    assert await bench.house.rows() == before


@checks("I1 forms", "I5 forms", "I10 forms", "I22 forms")
async def a_form_carries_its_key_and_counts_once(bench: Bench) -> None:
    form = bench.form(amount="99.90")

    assert forms.KEY in form
    assert not bench.stamps.fits({}, "pay", "99.90")  # required: without one the form is not ours
    assert [await bench.uses(form), await bench.uses(form)] == [Use.FIRST, Use.REPEATED]
    assert len(await bench.kept()) == 1


async def admin(bench: Bench) -> str:
    scopes = ["read", "write", "admin"]
    key = await bench.house.db.write(lambda tx: bench.house.scene.api_key(tx, bench.house.shop.merchant, scopes=scopes))
    return key.reveal()


@checks("I2 merchant")
async def keys_are_for_what_changes_something(bench: Bench) -> None:
    ignored = await bench.house.merchant("GET", "/transactions", headers={"idempotency-key": "\u00e9"})
    heeded = await bench.house.merchant(
        "DELETE", "/api-keys/1", headers={"idempotency-key": "\u00e9"}, key=await admin(bench)
    )

    assert ignored.status == 200
    assert (heeded.status, heeded.json()["code"]) == (400, "INVALID_IDEMPOTENCY_KEY")
    key_id = int((await bench.house.db.read(lambda tx: tx.all("select max(id) as id from api_key")))[0]["id"])
    asking = await admin(bench)
    headers = {"idempotency-key": "gone"}
    first = await bench.house.merchant("DELETE", f"/api-keys/{key_id}", headers=headers, key=asking)
    again = await bench.house.merchant("DELETE", f"/api-keys/{key_id}", headers=headers, key=asking)
    assert (first.status, again.status, replayed(again)) == (200, 200, True)


@checks("I2 pix")
async def pix_keys_are_for_posts(bench: Bench) -> None:
    made = (await bench.hooks("k")).json()
    headers = {"idempotency-key": "k"}

    gone = [await bench.house.pix("DELETE", f"/webhooks/{made['id']}", headers=headers) for _ in range(2)]
    listed = await bench.house.pix("GET", "/webhooks", headers=headers)

    assert [answer.status for answer in gone] == [200, 404]
    assert listed.status == 200
    assert len(await bench.kept()) == 1


@checks("I2 forms", "I3 forms", "I4 forms")
async def every_form_has_a_key_of_32_hex_and_a_bad_one_does_nothing(bench: Bench) -> None:
    form = bench.form()

    assert re.fullmatch("[0-9a-f]{32}", form[forms.KEY])
    assert bench.stamps.fits(form, "pay", "99.90")
    for key in ("", "x", form[forms.KEY].upper(), form[forms.KEY] + "0", "\u00e9" * 32):
        assert not bench.stamps.fits({**form, forms.KEY: key}, "pay", "99.90")
    assert not bench.stamps.fits(form, "cancel", "99.90")
    assert not bench.stamps.fits(form, "pay", "99.91")
    assert await bench.kept() == []


# I3 to I8: the key's form, scope and life


@checks("I3 merchant", "I4 merchant", "I5 merchant")
async def a_key_has_1_to_255_printable_characters_or_is_left_out(bench: Bench) -> None:
    assert [(await bench.pays(key)).status for key in ("x", "k" * 255, "a b ~!", None)] == [201] * 4
    assert replayed(await bench.pays("  x  "))  # trimmed
    for bad in ("k" * 256, "", "  ", "caf\u00e9", "a\tb"):
        answer = await bench.pays(bad)
        assert (answer.status, answer.json()["code"]) == (400, "INVALID_IDEMPOTENCY_KEY"), bad
    assert (await bench.house.rows())["payment"] == 4


@checks("I3 pix", "I4 pix", "I5 pix")
async def a_pix_key_has_1_to_256_printable_characters_or_is_left_out(bench: Bench) -> None:
    assert [(await bench.hooks(key)).status for key in ("x", "k" * 256, None)] == [201] * 3
    for bad, message in (
        ("k" * 257, "Idempotency-Key must be at most 256 characters"),
        ("", "Idempotency-Key is invalid"),
        ("caf\u00e9", "Idempotency-Key is invalid"),
    ):
        answer = await bench.hooks(bad)
        assert (answer.status, answer.json()["error"]["message"]) == (400, message)
    assert (await bench.house.rows())["webhook_endpoint"] == 3


@checks("I6 merchant", "I12 merchant", "I11 merchant")
async def another_request_or_path_under_a_key_is_a_conflict(bench: Bench) -> None:
    await bench.pays("k")
    before = await bench.house.rows()

    assert is_conflict(await bench.pays("k", amount="1.00"), "IDEMPOTENCY_KEY_REUSED")
    assert is_conflict(await bench.pays("k", path="/payments?a=1"), "IDEMPOTENCY_KEY_REUSED")
    assert is_conflict(await bench.pays("k", path="/payment-intents"), "IDEMPOTENCY_KEY_REUSED")
    assert await bench.house.rows() == before


@checks("I6 pix", "I12 pix")
async def pix_keys_of_two_paths_do_not_meet(bench: Bench) -> None:
    hooked, charged = await bench.hooks("k"), await bench.charges("k")

    assert (hooked.status, charged.status) == (201, 200)
    assert not replayed(charged)
    assert {row["scope"] for row in await bench.kept()} == {"POST /webhooks", "POST /pix/cash-in"}


@checks("I6 forms", "I12 forms")
async def a_form_s_key_belongs_to_its_action(bench: Bench) -> None:
    form = bench.form()

    assert [await bench.uses(form, f"checkout/1/{action}") for action in ("pay", "cancel")] == [Use.FIRST] * 2


@checks("I7 merchant")
async def spelling_does_not_matter_and_every_literal_does(bench: Bench) -> None:
    async def sent(body: bytes) -> Response:
        return await bench.house.merchant("POST", "/payments", body=body, headers={"idempotency-key": "k"})

    first = await sent(b'{"amount": 10.50, "currency": "BRL"}')
    assert (await sent(b' {"currency":"BRL",\n"amount":10.50}')).body == first.body
    assert is_conflict(await sent(b'{"amount": 10.5, "currency": "BRL"}'), "IDEMPOTENCY_KEY_REUSED")
    assert is_conflict(await sent(b'{"amount": "10.50", "currency": "BRL"}'), "IDEMPOTENCY_KEY_REUSED")
    [row] = await bench.kept()
    assert re.fullmatch("[0-9a-f]{64}", str(row["fingerprint"]))


@checks("I7 pix", "I11 pix")
async def a_pix_key_answers_as_before_whatever_is_sent(bench: Bench) -> None:
    first = await bench.hooks("k")
    other = await bench.hooks("k", url="https://other.example/hook")

    assert (other.status, other.body, replayed(other)) == (201, first.body, True)
    [row] = await bench.kept()
    assert re.fullmatch("[0-9a-f]{64}", str(row["fingerprint"]))  # recorded, though not compared


@checks("I7 forms", "I11 forms")
async def a_form_sent_again_with_other_fields_is_told_apart(bench: Bench) -> None:
    form = bench.form(amount="99.90")

    assert await bench.uses(form) is Use.FIRST
    assert await bench.uses({**form, "amount": "1.00"}) is Use.CHANGED
    assert await bench.uses(form) is Use.REPEATED


@checks("I8 merchant")
async def a_key_lives_for_a_day_from_its_first_use(bench: Bench) -> None:
    first = await bench.pays("k")
    bench.house.clock.advance(24 * HOUR - SECOND)
    assert (await bench.pays("k")).body == first.body
    bench.house.clock.advance(SECOND)
    assert not replayed(await bench.pays("k", amount="1.00"))
    short = replace(bench.house.dependencies.settings, idempotency_hours=1)
    bench.house.merchant_api.dependencies = replace(bench.house.dependencies, settings=short)
    await bench.pays("s")
    bench.house.clock.advance(HOUR)
    assert not replayed(await bench.pays("s"))


@checks("I8 pix")
async def a_pix_key_lives_for_a_day(bench: Bench) -> None:
    await bench.hooks("k")
    bench.house.clock.advance(24 * HOUR - SECOND)
    assert replayed(await bench.hooks("k"))
    bench.house.clock.advance(SECOND)
    assert not replayed(await bench.hooks("k"))


@checks("I8 forms")
async def a_form_s_key_lives_for_a_day(bench: Bench) -> None:
    form = bench.form()
    await bench.uses(form)
    bench.house.clock.advance(24 * HOUR - SECOND)
    assert await bench.uses(form) is Use.REPEATED
    bench.house.clock.advance(SECOND)
    assert await bench.uses(form) is Use.FIRST


# I9, I16, I17: one database transaction, and what a death leaves


@checks("I9 merchant", "I9 pix", "I9 forms", "I16 merchant", "I16 pix", "I16 forms")
async def the_key_and_the_change_are_committed_together_or_not_at_all(bench: Bench) -> None:
    keyring, now = bench.house.scene.keyring, bench.house.clock.now()
    for surface in ("merchant", "pix", "form"):
        slot = Slot(bench.owner, surface, "k", "f")  # type: ignore[arg-type]

        def dies(tx: object, slot: Slot = slot) -> None:
            idempotency.once(tx, slot, lambda: 1 // 0, keyring=keyring, now=now)  # type: ignore[arg-type,return-value]

        with pytest.raises(ZeroDivisionError):
            await bench.house.db.write(dies)
    assert await bench.kept() == []


@checks("I17 merchant")
async def after_the_commit_a_retry_gets_what_was_recorded(bench: Bench) -> None:
    lost = await bench.pays("k")  # whoever asked never read this
    again = await bench.pays("k")

    assert (again.body, (await bench.house.rows())["payment"]) == (lost.body, 1)


@checks("I17 pix", "I14 pix")
async def a_pix_retry_goes_on_with_the_ids_that_were_chosen(bench: Bench) -> None:
    bench.house.bank.failures = [NotSent("down")] * 3
    failed = await bench.charges("k")
    [row] = await bench.kept()
    chosen = json.loads(str(row["chosen"]))["charge"]
    again = await bench.charges("k")

    assert failed.status >= 500
    assert (row["state"], row["sealed_body"]) == ("free", None)
    assert (again.status, again.json()["transaction_id"]) == (200, chosen)
    await bench.running("pix", "dead", "POST /webhooks", for_s=60)
    assert (await bench.hooks("dead")).status == 409
    bench.house.clock.advance(60 * SECOND)
    assert (await bench.hooks("dead")).status == 201


@checks("I17 forms", "I14 forms")
async def a_form_whose_work_failed_may_be_sent_again(bench: Bench) -> None:
    form, now, keyring = bench.form(), bench.house.clock.now(), bench.house.scene.keyring

    def fails(tx: object) -> None:
        assert forms.use(tx, form, "checkout/1/pay", owner=bench.owner, keyring=keyring, now=now) is Use.FIRST  # type: ignore[arg-type]
        raise Conflict("X", "no")

    with pytest.raises(Conflict):
        await bench.house.db.write(fails)
    assert await bench.uses(form) is Use.FIRST


# I13 to I15: while running, and what is not kept


@checks("I13 merchant")
async def a_repeat_while_the_first_runs_is_a_conflict_for_now(bench: Bench) -> None:
    slot_taken = await bench.pays("probe")
    assert slot_taken.status == 201
    [row] = await bench.kept()
    await bench.house.run(
        "update idempotency set state = 'running', locked_until_at = :until",
        until=bench.house.clock.now() + 60 * SECOND,
    )
    bench.house.merchant_api._lately = idempotency.AnsweredLately()

    assert is_conflict(await bench.pays("probe"), "IDEMPOTENCY_IN_PROGRESS")
    assert row["state"] == "done"


@checks("I13 pix")
async def a_pix_repeat_while_the_first_runs_is_told_to_wait_a_second(bench: Bench) -> None:
    await bench.running("pix", "k", "POST /webhooks")
    answer = await bench.hooks("k")

    assert (answer.status, answer.headers["retry-after"]) == (409, "1")


@checks("I13 forms")
async def of_two_forms_at_once_one_is_first(bench: Bench) -> None:
    form = bench.form()
    seen = await asyncio.gather(*[bench.uses(form) for _ in range(5)])
    assert sorted(use.value for use in seen) == ["first", *["repeated"] * 4]


@checks("I14 merchant", "I15 merchant")
async def what_was_refused_keeps_nothing_and_frees_the_key(bench: Bench) -> None:
    before = await bench.house.rows()
    wrong = [
        await bench.pays("k", amount="0"),
        await bench.house.merchant("POST", "/payments", PAYMENT, key=None, headers={"idempotency-key": "k"}),
        await bench.house.merchant("POST", "/nothing", PAYMENT, headers={"idempotency-key": "k"}),
        await bench.house.merchant("PUT", "/payments", PAYMENT, headers={"idempotency-key": "k"}),
        await bench.house.merchant("POST", "/payments", body=b" " * 1_048_577, headers={"idempotency-key": "k"}),
        await bench.house.merchant("POST", "/payments", body=b"{", headers={"idempotency-key": "k"}),
    ]
    assert [answer.status for answer in wrong] == [422, 401, 404, 405, 413, 400]
    assert await bench.house.rows() == before
    assert (await bench.pays("k")).status == 201


@checks("I15 pix")
async def what_was_refused_on_the_way_keeps_nothing(bench: Bench) -> None:
    before = await bench.house.rows()
    wrong = [
        await bench.hooks("k", url="http://plain.example"),
        await bench.house.pix("POST", "/webhooks", HOOK, headers={"idempotency-key": "k", "authorization": None}),
        await bench.house.pix("POST", "/nothing", HOOK, headers={"idempotency-key": "k"}),
        await bench.house.pix("PUT", "/webhooks", HOOK, headers={"idempotency-key": "k"}),
        await bench.house.pix("POST", "/webhooks", HOOK, headers={"idempotency-key": "k", "content-type": "a/b"}),
    ]
    assert [answer.status for answer in wrong] == [422, 401, 404, 405, 415]
    assert await bench.house.rows() == before
    assert (await bench.hooks("k")).status == 201


@checks("I15 forms")
async def a_form_that_does_not_fit_uses_up_no_key(bench: Bench) -> None:
    assert not bench.stamps.fits({**bench.form(), forms.DIGEST: "0" * 64}, "pay", "99.90")
    assert await bench.kept() == []


# I18 to I25


@checks("I18 merchant", "I18 pix", "I18 forms")
async def an_unknown_outcome_is_never_sent_twice(bench: Bench) -> None:
    await bench.charges("k")
    again = await bench.charges("k")

    assert replayed(again)
    assert len(bench.house.bank.asked) == 1
    bench.house.bank.failures = [Denied("contract")]
    assert (await bench.charges("d")).status == 503
    assert (await bench.charges("d")).status == 200
    assert len(set(bench.house.bank.asked)) == len(bench.house.bank.asked) == 2


@checks("I19 merchant", "I19 pix")
async def merchants_and_surfaces_do_not_share_keys(bench: Bench) -> None:
    mine = await bench.pays("k")
    theirs = await bench.house.merchant(
        "POST", "/payments", PAYMENT, key=bench.house.other.key, headers={"idempotency-key": "k"}
    )
    hooked = await bench.hooks("k")
    others = await bench.house.pix("POST", "/webhooks", HOOK, shop=bench.house.other, headers={"idempotency-key": "k"})

    assert [answer.status for answer in (mine, theirs, hooked, others)] == [201] * 4
    assert not any(replayed(answer) for answer in (mine, theirs, hooked, others))


@checks("I20 merchant")
async def without_its_scope_nothing_is_replayed(bench: Bench) -> None:
    await bench.pays("k")
    await bench.house.run("""update api_key set scopes = '["read"]'""")
    bench.house.next_second()

    assert (await bench.pays("k")).status == 403


@checks("I20 pix")
async def without_its_permission_nothing_is_replayed(bench: Bench) -> None:
    await bench.hooks("k")
    await bench.house.run("""update pix_credential set permissions = '["webhook:read"]'""")
    bench.house.next_second()

    assert (await bench.hooks("k")).status == 403


@checks("I20 forms")
async def a_form_s_key_is_no_permission(bench: Bench) -> None:
    form = bench.form()
    await bench.uses(form)

    assert await bench.uses(form, owner=bench.house.other.merchant.owner) is Use.FIRST


@checks("I21 merchant")
async def without_a_key_each_request_is_new_unless_the_merchant_guards(bench: Bench) -> None:
    ids = [(await bench.pays(None)).json()["data"]["payment_id"] for _ in range(2)]
    assert len(set(ids)) == 2

    await bench.house.run("""update merchant set settings = '{"duplicate_guard_minutes": 10}'""")
    bench.house.next_second()
    first = await bench.pays(None, reference="G-1")
    again = await bench.pays(None, reference="G-1")
    others = [
        await bench.pays(None, reference="G-2"),
        await bench.pays(None, reference="G-1", amount="1.00"),
        await bench.pays(None, reference="G-1", currency="USD"),
        await bench.pays("k", reference="G-1"),
    ]
    assert (again.status, again.json()) == (201, first.json())
    names = {answer.json()["data"]["payment_id"] for answer in (first, *others)}
    assert len(names) == 5
    bench.house.clock.advance(10 * MINUTE)
    assert (await bench.pays(None, reference="G-1")).json()["data"]["payment_id"] not in names


@checks("I21 pix")
async def without_a_key_each_pix_request_is_new(bench: Bench) -> None:
    made = {(await bench.hooks(None)).json()["id"] for _ in range(2)}
    assert len(made) == 2


@checks("I23 merchant", "I23 pix")
async def stored_bodies_are_sealed(bench: Bench) -> None:
    made = [(await bench.pays("k")).json()["data"]["token"], (await bench.hooks("k")).json()["secret"]]
    stored = str(await bench.kept())

    assert not [secret for secret in made if secret in stored]
    assert stored.count("v1.k1.") == 2


@checks("I24 merchant", "I24 pix", "I24 forms")
async def the_database_s_clock_measures_the_life_of_a_key(bench: Bench) -> None:
    """A process whose clock is a year behind neither frees a key nor keeps one for ever, on PostgreSQL."""
    dialect = await bench.house.db.read(lambda tx: tx.dialect)
    trusting = replace(bench.house.dependencies, trusts_database_clock=dialect == "postgres")
    bench.house.merchant_api.dependencies = bench.house.external_api.dependencies = trusting
    first = [await bench.pays("k"), await bench.hooks("k")]
    if dialect == "postgres":
        bench.house.clock.advance(400 * 24 * HOUR)
    again = [await bench.pays("k"), await bench.hooks("k")]

    assert [answer.status for answer in first] == [201, 201]
    assert [answer.body for answer in again] == [answer.body for answer in first]
    form, keyring = bench.form(), bench.house.scene.keyring
    now = trusting.key_clock(Instant(bench.house.clock.now()))
    seen = [
        await bench.house.db.write(lambda tx: forms.use(tx, form, "a", owner=bench.owner, keyring=keyring, now=now))
        for _ in range(2)
    ]
    assert seen == [Use.FIRST, Use.REPEATED]


@checks("I25 merchant", "I25 pix", "I25 forms")
async def keys_and_replays_can_be_seen(bench: Bench) -> None:
    with structlog.testing.capture_logs() as lines:
        await bench.pays("k-1")
        await bench.pays("k-1")
        await bench.hooks("k-2")
        await bench.hooks("k-2")

    told = [(line["idempotency_key"], line["replayed"]) for line in lines if line["event"] == "request"]
    assert told == [("k-1", False), ("k-1", True), ("k-2", False), ("k-2", True)]
    await bench.uses(bench.form())
    assert {row["surface"] for row in await bench.kept()} == {"merchant", "pix", "form"}
