-- Written also where it is null already: whoever counts the block meanwhile then waits for this transaction to end.
create function forget_tally() returns trigger language plpgsql as $$
begin
  update payment_anchor set tally = null
   where merchant_id = new.merchant_id and mode = new.mode and payment_id = (
         select a.payment_id from payment_anchor a
          where a.merchant_id = new.merchant_id and a.mode = new.mode and a.payment_id >= new.id
          order by a.payment_id limit 1);
  return null;
end $$;

create trigger payment_changes_its_block after update on payment for each row
  when ((new.detail, new.gateway, new.dispute_status) is distinct from (old.detail, old.gateway, old.dispute_status))
  execute function forget_tally()
