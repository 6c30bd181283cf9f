"""How frames arrive: from a venue, from a recording, or from a simulated venue, behind one interface. What a frame means is not
known here."""

from collector_service.transport.base import (
    Arrival,
    ArrivalKind,
    Fetch,
    Request,
    Retire,
    Send,
    Transport,
    TransportError,
)

__all__ = ["Arrival", "ArrivalKind", "Fetch", "Request", "Retire", "Send", "Transport", "TransportError"]
