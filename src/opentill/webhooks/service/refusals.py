"""What the engine refuses its owners, each with a code the APIs translate."""

from opentill.kernel.errors import Conflict, NotFound

_ = str  # marks a text for the catalogues


class EndpointNotFound(NotFound):
    """No endpoint of that name belongs to the caller."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_NOT_FOUND", "Webhook endpoint not found.")


class DeliveryNotFound(NotFound):
    """No delivery of that name belongs to the caller."""

    def __init__(self) -> None:
        super().__init__("DELIVERY_NOT_FOUND", "Delivery not found")


class ReplayNotFound(NotFound):
    """No replay of that name belongs to the caller."""

    def __init__(self) -> None:
        super().__init__("REPLAY_NOT_FOUND", "Replay not found")


class EndpointExists(Conflict):
    """The caller has an endpoint with the same URL on the same surface."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_EXISTS", _("An endpoint with this URL exists already."))


class LimitReached(Conflict):
    """The caller has as many endpoints as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__("ENDPOINT_LIMIT", _("Webhook limit reached (%(limit)s)"), limit=limit)
        self.limit = limit


class NotActive(Conflict):
    """Nothing is sent to a paused or disabled endpoint."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_NOT_ACTIVE", _("Webhook is not active"))


class InProgress(Conflict):
    """An attempt is due at once or running, or another delivery of the event is unfinished."""

    def __init__(self) -> None:
        super().__init__("INVALID_STATE", _("Delivery is still in progress"))


class Final(Conflict):
    """The delivery was cancelled: its endpoint is gone, or its event is no longer kept."""

    def __init__(self) -> None:
        super().__init__("INVALID_STATE", _("The delivery was cancelled and cannot be sent again"))
