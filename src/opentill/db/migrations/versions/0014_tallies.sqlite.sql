create trigger payment_changes_its_block after update on payment
when (new.detail, new.gateway, new.dispute_status) is not (old.detail, old.gateway, old.dispute_status)
begin
  update payment_anchor set tally = null
   where merchant_id = new.merchant_id and mode = new.mode and payment_id = (
         select a.payment_id from payment_anchor a
          where a.merchant_id = new.merchant_id and a.mode = new.mode and a.payment_id >= new.id
          order by a.payment_id limit 1);
end
