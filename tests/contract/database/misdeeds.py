"""Statements that would spoil the books. Each must be refused by the database itself, whoever sends it.

They are written against the scene of test_books_are_guarded.py, whose rows they name by parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

BOTH: Final = ("sqlite", "postgres")
SQLITE: Final = ("sqlite",)
POSTGRES: Final = ("postgres",)

JOURNAL: Final = """
insert into journal (merchant_id, mode, currency, kind, source_type, source_id, entries, created_at)
values (:merchant, :mode, :currency, :kind, :source_type, :source_id, :entries, 0)
"""
POSTING: Final = (
    "insert into posting (journal_id, line, account_id, units) values (:journal, :line, :available, :units)"
)
ACCOUNT: Final = """
insert into ledger_account (merchant_id, mode, currency, kind, gateway, balance_units, last_journal_id)
values (:merchant, 1, :currency, :kind, :gateway, :balance, :last)
"""
RECEIPT: Final = """
insert into receipt (merchant_id, mode, gateway, account, ref, payment_id, units, currency, fee_units, origin, state,
                     received_at, created_at)
values (:merchant, 1, 'sandbox', '', :ref, :paid, :units, 'BRL', :fee, :origin, :state, 0, 0)
"""
SESSION: Final = """
insert into gateway_session (reference, payment_id, merchant_id, mode, gateway, state, opened_at)
values ('ses_second', :open, :merchant, 1, 'sandbox', :state, 0)
"""
PAYMENT: Final = """
insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, gateway, gateway_ref,
                     created_at, updated_at, expires_at)
values ('u', :reference, 't', :merchant, :mode, 'pending', 'pending', :units, :currency, :gateway, :gateway_ref,
        0, 0, 0)
"""
FEE_RULE: Final = """
insert into fee_rule (currency, fixed_units, basis_points, created_at) values (:currency, :fixed, :share, 0)
"""


@dataclass(frozen=True)
class Misdeed:
    """One statement, what it would do, and where it can be said."""

    what: str
    sql: str
    params: dict[str, Any] = field(default_factory=dict)
    on: tuple[str, ...] = BOTH


def misdeeds() -> Iterator[Misdeed]:
    yield from unbalanced_journals()
    yield from changes_of_history()
    yield from balances_by_hand()
    yield from money_that_cannot_be()


def journal(what: str, entries: str, *, sql: str = JOURNAL, on: tuple[str, ...] = BOTH, **columns: Any) -> Misdeed:
    given = {
        "mode": 1,
        "currency": "BRL",
        "kind": "test",
        "source_type": "test",
        "source_id": "1",
        "entries": entries,
    }
    return Misdeed(f"a journal {what}", sql, given | columns, on)


def unbalanced_journals() -> Iterator[Misdeed]:
    good = '[["clearing","sandbox",-500],["available","",500]]'
    yield journal("without entries", "[]")
    yield journal("with one side", '[["available","",500]]')
    yield journal("with one side of nothing", '[["available","",0]]')
    yield journal("that does not add up", '[["clearing","sandbox",-500],["available","",499]]')
    yield journal("whose third entry is missing", '[["clearing","sandbox",-500],["available","",490]]')
    yield journal("of two credits", '[["clearing","sandbox",500],["available","",500]]')
    yield journal("of nothing", '[["clearing","sandbox",0],["available","",0]]')
    yield journal("of fractions", '[["clearing","sandbox",-5.5],["available","",5.5]]')
    yield journal("of fractions that round to zero", '[["clearing","sandbox",-5.4],["available","",5.3]]')
    yield journal("of whole floats", '[["clearing","sandbox",-500.0],["available","",500.0]]')
    yield journal("in exponent notation", '[["clearing","sandbox",-5e2],["available","",5e2]]')
    yield journal("with amounts as text", '[["clearing","sandbox","-500"],["available","","500"]]')
    yield journal("with one amount as text", '[["clearing","sandbox",-500],["available","","500"]]')
    yield journal("with truth for an amount", '[["clearing","sandbox",-1],["available","",true]]')
    yield journal("with null for an amount", '[["clearing","sandbox",-500],["available","",500],["held","",null]]')
    yield journal("with nulls for all amounts", '[["clearing","sandbox",null],["available","",null]]')
    yield journal("with a list for an amount", '[["clearing","sandbox",[-500]],["available","",[500]]]')
    yield journal("beyond 64 bits", f'[["clearing","sandbox",-{2**63 + 1}],["available","",{2**63 + 1}]]')
    yield journal("beyond what an account holds", f'[["clearing","sandbox",-{2**63 - 1}],["available","",{2**63 - 1}]]')
    yield journal("with an entry too short", '[["clearing","sandbox",-500],["available","",500],["held"]]')
    yield journal("with an entry too long", '[["clearing","sandbox",-500],["available","",500,"BRL"]]')
    yield journal("with objects for entries", '[{"kind":"clearing","units":-500},{"kind":"available","units":500}]')
    yield journal("in an object", '{"0":["clearing","sandbox",-500],"1":["available","",500]}')
    yield journal("of texts that hold entries", r'["[\"clearing\",\"sandbox\",-500]","[\"available\",\"\",500]"]')
    yield journal("that is a number", "500")
    yield journal("that is null", "null")
    yield journal("that is not JSON", "clearing -500, available 500")
    yield journal("that is nearly JSON", "[['clearing','sandbox',-500],['available','',500]]")
    yield journal("for an unknown kind of account", '[["clearing","sandbox",-500],["profit","",500]]')
    yield journal("for a kind in capitals", '[["clearing","sandbox",-500],["AVAILABLE","",500]]')
    yield journal("for clearing without a gateway", '[["clearing","",-500],["available","",500]]')
    yield journal("for clearing of null", '[["clearing",null,-500],["available","",500]]')
    yield journal("for available of a gateway", '[["clearing","sandbox",-500],["available","sandbox",500]]')
    yield journal("that takes held below zero", '[["held","",-1],["available","",1]]', currency="USD")
    yield journal("that takes more than is held", '[["held","",-99901],["available","",99901]]')
    yield journal("in no currency", good, currency="")
    yield journal("in a currency in small letters", good, currency="brl")
    yield journal("in a currency of four letters", good, currency="REAL")
    yield journal("of a third mode", good, mode=2)
    yield journal("of nobody", good, sql=JOURNAL.replace(":merchant", "999999"))
    second = {"kind": "payment.completed", "source_type": "payment"}
    yield journal("that completes a payment again", good, sql=JOURNAL.replace(":source_id", ":paid_uuid"), **second)
    in_dollars = second | {"currency": "USD"}
    yield journal("that completes it in dollars", good, sql=JOURNAL.replace(":source_id", ":paid_uuid"), **in_dollars)
    ignoring = JOURNAL.replace("insert into", "insert or ignore into")
    skewed = '[["clearing","sandbox",-500],["profit","",500]]'
    yield journal("whose unknown account is ignored", skewed, sql=ignoring, on=SQLITE)
    overdrawn = '[["held","",-99901],["available","",99901]]'
    yield journal("whose overdraft is ignored", overdrawn, sql=ignoring, on=SQLITE)
    replacing = JOURNAL.replace("insert into", "insert or replace into").replace(":source_id", ":paid_uuid")
    yield journal("in the place of another", good, sql=replacing, on=SQLITE, **second)


def changes_of_history() -> Iterator[Misdeed]:
    yield Misdeed("a posting by hand", POSTING, {"line": 7, "units": 500})
    yield Misdeed("a posting in the place of another", POSTING, {"line": 0, "units": 500})
    upsert = f"{POSTING} on conflict (journal_id, line) do update set units = 1"
    yield Misdeed("a posting changed by an upsert", upsert, {"line": 0, "units": 500})
    yield Misdeed("a posting with another amount", "update posting set units = units + 1 where journal_id = :journal")
    moved = "update posting set account_id = :held where journal_id = :journal and line = 0"
    yield Misdeed("a posting to another account", moved)
    yield Misdeed("a posting deleted", "delete from posting where journal_id = :journal and line = 0")
    yield Misdeed("every posting deleted", "delete from posting")
    yield Misdeed("a journal with other entries", "update journal set entries = '[]' where id = :journal")
    yield Misdeed("a journal of another kind", "update journal set kind = 'test' where id = :journal")
    yield Misdeed("a journal of another day", "update journal set created_at = 0 where id = :journal")
    yield Misdeed("a journal deleted", "delete from journal where id = :journal")
    yield Misdeed("an audit entry of somebody else", "update audit_entry set actor = 'nobody'")
    yield Misdeed("an audit entry deleted", "delete from audit_entry")
    replaced = """
        insert or replace into audit_entry (id, at, actor, origin, action, subject)
        select id, at, 'nobody', origin, action, subject from audit_entry
    """
    yield Misdeed("an audit entry replaced", replaced, on=SQLITE)
    yield Misdeed("a receipt deleted", "delete from receipt where payment_id = :paid")
    yield Misdeed("a receipt of another amount", "update receipt set units = units + 100 where payment_id = :paid")
    yield Misdeed("a receipt by another name", "update receipt set ref = 'other' where payment_id = :paid")
    yield Misdeed("a receipt of another merchant", "update receipt set merchant_id = :other where payment_id = :paid")
    yield Misdeed("a payment with receipts deleted", "delete from payment where id = :paid")
    yield Misdeed("a merchant with books deleted", "delete from merchant where id = :merchant")
    for table in ("posting", "journal", "ledger_account", "audit_entry", "receipt"):
        yield Misdeed(f"{table} emptied", f"truncate {table} cascade", on=POSTGRES)
    yield Misdeed("merchants emptied, and all that hangs on them", "truncate merchant cascade", on=POSTGRES)


def balances_by_hand() -> Iterator[Misdeed]:
    update = "update ledger_account set {} where id = :available"
    yield Misdeed("a balance by hand", update.format("balance_units = balance_units + 100"))
    stepped = "balance_units = balance_units + 100, last_journal_id = last_journal_id + 1"
    yield Misdeed("a balance by hand, of a coming journal", update.format(stepped))
    yield Misdeed("an account that is past coming journals", update.format("last_journal_id = last_journal_id + 9"))
    yield Misdeed("an account of another merchant", update.format("merchant_id = :other"))
    yield Misdeed("an account in another currency", update.format("currency = 'USD'"))
    yield Misdeed("an account of another kind", update.format("kind = 'fees'"))
    yield Misdeed("a negative balance that is held", "update ledger_account set balance_units = -1 where id = :held")
    yield Misdeed("an account deleted", "delete from ledger_account where id = :available")
    fresh = {"currency": "JPY", "kind": "available", "gateway": "", "balance": 0, "last": 0}
    yield Misdeed("an account that starts with money", ACCOUNT, fresh | {"balance": 100})
    yield Misdeed("an account that starts in debt", ACCOUNT, fresh | {"balance": -100})
    yield Misdeed("an account that starts past coming journals", ACCOUNT, fresh | {"last": 999})
    yield Misdeed("an account of an unknown kind", ACCOUNT, fresh | {"kind": "profit"})
    yield Misdeed("a second account of one kind", ACCOUNT, fresh | {"currency": "BRL"})
    upsert = f"{ACCOUNT} on conflict (merchant_id, mode, currency, kind, gateway) do update set balance_units = 100"
    yield Misdeed("a balance changed by an upsert", upsert, fresh | {"currency": "BRL"})


def money_that_cannot_be() -> Iterator[Misdeed]:
    update = "update payment set {} where id = :paid"
    yield Misdeed("a fee above the amount", update.format("fee_units = units + 1"))
    yield Misdeed("a negative fee", update.format("fee_units = -1"))
    yield Misdeed("refunds above what was captured", update.format("refunded_units = units + 1"))
    yield Misdeed("negative refunds", update.format("refunded_units = -1"))
    yield Misdeed("refunds under way above what was captured", update.format("refunding_units = units + 1"))
    yield Misdeed("more refunded than was asked for", update.format("refunding_units = refunded_units - 1"))
    yield Misdeed("negative losses", update.format("lost_units = -1"))
    more = "update receipt set refunding_units = units + 1 where payment_id = :paid"
    yield Misdeed("more going back than came", more)
    yield Misdeed("a refund of more", "update refund set units = units + 100 where id = :refund")
    yield Misdeed(
        "a refund of more at the gateway", "update refund set charge_units = charge_units + 1 where id = :refund"
    )
    yield Misdeed("a refund of other money", "update refund set receipt_id = receipt_id + 1 where id = :refund")
    undone = "update refund set status = 'pending', step = 'unknown', processed_at = null where id = :refund"
    yield Misdeed("a completed refund that is pending again", undone)
    failed = "update refund set status = 'failed' where id = :refund"
    yield Misdeed("a completed refund that has failed", failed)
    yield Misdeed("a refund deleted", "delete from refund where id = :refund")
    yield Misdeed("a refund that is over and asked about", "update refund set next_check_at = 1 where id = :refund")
    yield Misdeed("refunds emptied", "truncate refund cascade", on=POSTGRES)
    yield Misdeed("an amount below what was refunded", update.format("units = 0"))
    yield Misdeed("a payment completed at no time", update.format("completed_at = null"))
    yield Misdeed("a completed payment that is pending again", update.format("status = 'pending'"))
    yield Misdeed("a payment in no known state", update.format("status = 'lost', completed_at = null"))
    yield Misdeed(
        "a payment completed before it is", "update payment set completed_at = 1 where id = :open and :paid > 0"
    )
    plain = {"reference": "r", "mode": 1, "units": 100, "currency": "BRL", "gateway": None, "gateway_ref": None}
    yield Misdeed("a payment of nothing", PAYMENT, plain | {"units": 0})
    yield Misdeed("a payment of less than nothing", PAYMENT, plain | {"units": -100})
    yield Misdeed("a payment in a third mode", PAYMENT, plain | {"mode": 2})
    yield Misdeed("a payment in no currency", PAYMENT, plain | {"currency": ""})
    yield Misdeed("a second payment of one reference", PAYMENT.replace(":reference", ":paid_reference"), plain)
    same_money = plain | {"gateway": "sandbox"}
    yield Misdeed("a second payment with the same money", PAYMENT.replace(":gateway_ref", ":paid_money"), same_money)
    yield Misdeed("a second session beside an open one", SESSION, {"state": "open"})
    yield Misdeed("a second session beside an unknown one", SESSION, {"state": "unknown"})
    yield Misdeed("a session in no known state", SESSION, {"state": "maybe"})
    receipt = {"ref": "new", "units": 100, "fee": 0, "origin": "charge", "state": "booked"}
    yield Misdeed("the same receipt twice", RECEIPT.replace(":ref", ":paid_money"), receipt)
    yield Misdeed("a receipt of nothing", RECEIPT, receipt | {"units": 0})
    yield Misdeed("a receipt whose fee is above it", RECEIPT, receipt | {"fee": 101})
    yield Misdeed("a receipt with a negative fee", RECEIPT, receipt | {"fee": -1})
    yield Misdeed("a receipt of unknown origin", RECEIPT, receipt | {"origin": "found"})
    yield Misdeed("a receipt in no known state", RECEIPT, receipt | {"state": "lost"})
    yield Misdeed("a fee of more than everything", FEE_RULE, {"currency": "BRL", "fixed": 0, "share": 10_001})
    yield Misdeed("a fee that pays the payer", FEE_RULE, {"currency": "BRL", "fixed": -1, "share": 0})
    yield Misdeed("a fixed fee in any currency", FEE_RULE, {"currency": None, "fixed": 1, "share": 0})
    yield Misdeed("two fee rules of one rank", FEE_RULE, {"currency": None, "fixed": 0, "share": 1})
