"""Charges at a bank that makes none: a static code that pays a key, its label the charge's id (pix-api.md §12.1).

That such a code is paid once and in time is ours alone to keep: the bank knows a key and a label, and no charge.
"""

from opentill.pix.brcode import BadCode, build_static, parse
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import Account, Charge
from opentill.pix.port import ChargeState, ProviderCharge


def issue(charge: Charge, account: Account, *, city: str | None = None) -> ProviderCharge:
    """Return a charge as a bank would have made it; *city* stands in the code instead of the merchant's.

    Raises `BadCode` where the merchant's name or city has characters no code can carry.
    """
    code = build_static(
        key=charge.key,
        name=account.merchant_name,
        city=city or account.merchant_city,
        amount_centavos=charge.amount.minor,
        label=charge.id,
    )
    return ProviderCharge(
        txid=provider_txid(charge.id),
        state=ChargeState.ACTIVE,
        provider_status="",
        revision=0,
        amount_centavos=charge.amount.minor,
        key=charge.key,
        created_at=charge.created_at,
        expires_at=charge.expires_at,
        location=None,
        code=code,
        receipts=(),
    )


def is_static(charge: Charge) -> bool:
    """Tell whether a charge has a code of our own, about which no bank can be asked."""
    try:
        return charge.code is not None and parse(charge.code).txid == charge.id
    except BadCode:  # a bank's own: how it writes its codes is its matter
        return False
