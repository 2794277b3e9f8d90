"""Recorded requests of an imaginary product: a customer, a payment that names it, an event with a document."""

import json
import random
import uuid

from bench.renewal import Recording, Traced, TracedUnit

NOW_US = 1_795_000_000_000_000
CUSTOMER = "insert into customer (owner, mail_hash, created_at) values (:owner, :mail_hash, :now) returning id"
PAYMENT = """
    insert into payment (uuid, token, customer_id, order_id, amount, expires_at)
    values (:uuid, :token, :customer_id, :order_id, :amount, :expires_at)
"""
EVENT = "insert into event (id, doc, sealed) values (:id, :doc, :sealed)"
TABLES = (
    "create table customer (id bigint generated always as identity primary key, owner bigint not null,"
    " mail_hash text not null unique, created_at bigint not null)",
    "create table payment (uuid text primary key, token text not null unique, customer_id bigint not null"
    " references customer, order_id text not null unique, amount bigint not null, expires_at bigint not null)",
    "create table event (id text primary key, doc bytea not null, sealed text not null)",
)


def uuid7(chance: random.Random, now_us: int) -> str:
    number = (now_us // 1000) << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62)
    return str(uuid.UUID(int=number))


def recorded(owner: int, row: int, seed: int) -> Recording:
    """Return what one request of *owner* did; *row* is the id its customer was given."""
    chance, now = random.Random(seed), NOW_US + seed * 1000
    made, order = uuid7(chance, now), f"ORD-{chance.getrandbits(128):032x}"
    document = json.dumps({"payment": made, "owner": owner, "order": order, "at": now // 1_000_000, "note": "a: b"})
    sealed = "v1.k1." + "".join(chance.choices("ab+/", k=100))
    event = f"evt_{now // 1000:012x}{chance.getrandbits(48):012x}"
    mail_hash = f"{chance.getrandbits(256):064x}"
    return [
        TracedUnit(
            "write",
            now,
            [
                Traced(
                    "one_or_none",
                    CUSTOMER,
                    {"owner": owner, "mail_hash": mail_hash, "now": now},
                    ["id"],
                    [[row]],
                ),
                Traced(
                    "run",
                    PAYMENT,
                    {
                        "uuid": made,
                        "token": f"{chance.getrandbits(256):064x}",
                        "customer_id": row,
                        "order_id": order,
                        "amount": 1_499_000,
                        "expires_at": now + 1_800_000_000,
                    },
                    [],
                    [],
                ),
                Traced("run", EVENT, {"id": event, "doc": document.encode(), "sealed": sealed}, [], []),
            ],
        )
    ]


def pairs(owners: int = 3) -> list[tuple[Recording, Recording]]:
    return [
        (recorded(owner, 100 + 2 * owner, 10 * owner), recorded(owner, 101 + 2 * owner, 10 * owner + 1))
        for owner in range(1, owners + 1)
    ]
