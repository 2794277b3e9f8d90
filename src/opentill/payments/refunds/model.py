"""What a refund is shown with: values, no behaviour."""

from dataclasses import dataclass

from opentill.payments.model import Refund


@dataclass(frozen=True, slots=True)
class ShownRefund:
    """A refund with the names it is shown beside."""

    refund: Refund
    transaction_id: int
    reference: str
    payment_uuid: str
    gateway_trx_id: str

    @property
    def id(self) -> int:
        return self.refund.id
