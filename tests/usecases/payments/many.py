"""Many payments at once, written straight into the table: for tests of lists, not of how payments are made."""

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner

PENDING, COMPLETED, EXPIRED = "pending", "completed", "expired"
# Every tenth is pending, every tenth after it expired, the others are completed; texts are numbers with zeros.
INSERT = """
with recursive n(i) as (select cast(:first as bigint) union all select i + 1 from n where i < :last)
insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, order_id, gateway,
                     created_at, updated_at, expires_at, completed_at)
select '00000000-0000-7000-8000-' || substr(cast(1000000000000 + i as text), 2),
       'txn_' || substr(cast(10000000000000000 + i as text), 2),
       '000000000000000000000000000000000000000000000000' || substr(cast(10000000000000000 + i as text), 2),
       :merchant_id, :mode, s.word, s.word, 990000, 'BRL', 'ORD-' || cast(i as text),
       case when i % 2 = 0 then 'pix' else 'sandbox' end,
       cast(:since as bigint) + (i - :first) * cast(:step as bigint),
       cast(:since as bigint) + (i - :first) * cast(:step as bigint),
       cast(:since as bigint) + (i - :first) * cast(:step as bigint) + 1800000000,
       case when s.word = 'completed' then cast(:since as bigint) + (i - :first) * cast(:step as bigint) end
  from n join (select 0 as tenth, 'pending' as word union all select 1, 'expired' union all select 2, 'completed') s
    on s.tenth = case i % 10 when 0 then 0 when 1 then 1 else 2 end
 order by i
"""


def insert_payments(tx: Tx, owner: Owner, *, first: int, last: int, since: Instant, step: int) -> int:
    """Insert payments numbered *first* to *last*, created *step* microseconds apart; return how many."""
    return tx.run(
        INSERT,
        first=first,
        last=last,
        since=since,
        step=step,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
