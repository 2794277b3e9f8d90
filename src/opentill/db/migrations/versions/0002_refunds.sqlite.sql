-- What was asked to go back is a fact; only what became of it may change, and once it is over nothing may.
create trigger refund_refuses_delete before delete on refund begin
  select raise(abort, 'refund is kept');
end;

create trigger refund_keeps_its_money before update on refund
when (new.uuid, new.merchant_id, new.mode, new.payment_id, new.receipt_id, new.units, new.currency, new.charge_units,
      new.charge_currency, new.fee_units, new.created_at)
     is not
     (old.uuid, old.merchant_id, old.mode, old.payment_id, old.receipt_id, old.units, old.currency, old.charge_units,
      old.charge_currency, old.fee_units, old.created_at)
  or (old.status <> 'pending' and new.status <> old.status)
begin
  select raise(abort, 'refund keeps its money and its end');
end;

create trigger dispute_refuses_delete before delete on dispute begin
  select raise(abort, 'dispute is kept');
end;
