-- What was asked to go back is a fact; only what became of it may change, and once it is over nothing may.
create trigger refund_is_kept before delete or truncate on refund execute function refuse_change();

create trigger refund_keeps_its_money before update on refund for each row
  when ((new.uuid, new.merchant_id, new.mode, new.payment_id, new.receipt_id, new.units, new.currency,
         new.charge_units, new.charge_currency, new.fee_units, new.created_at)
        is distinct from
        (old.uuid, old.merchant_id, old.mode, old.payment_id, old.receipt_id, old.units, old.currency,
         old.charge_units, old.charge_currency, old.fee_units, old.created_at)
        or (old.status <> 'pending' and new.status <> old.status))
  execute function refuse_change();

create trigger dispute_is_kept before delete or truncate on dispute execute function refuse_change();
