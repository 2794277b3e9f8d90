-- What the payer of a payment that waits for a decision was asked last, and the language they read when they submitted.
alter table review_item add column question text;

alter table review_item add column asked_at bigint;

alter table submission add column language text
