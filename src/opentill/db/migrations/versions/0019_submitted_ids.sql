-- Who changes the capitals of an id has not paid once more. The older index stays: who runs beside this names it.
create unique index submission_ref_once on submission (merchant_id, mode, gateway, upper(provider_ref)) where provider_ref is not null and state in ('open', 'approved')
