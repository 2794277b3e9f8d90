create index receipt_noted on receipt (merchant_id, mode, upper(ref))
 where gateway = 'pix' and length(ref) = 32 and again = 0 and accepted = 1 and payer_ispb is null
