-- When an operator removed an account: its credentials are gone, its row stays for the books.
alter table pix_account add column removed_at bigint;
