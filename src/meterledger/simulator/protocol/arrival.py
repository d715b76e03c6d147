"""What a meter-event call is about, told before anything can refuse it."""

from typing import NamedTuple

from meterledger.simulator.protocol.concurrency import Lane

MAX_LANE_CUSTOMER = 5000  # characters; no customer has a longer id


class Arrival(NamedTuple):
    """Each is empty where the call does not tell it."""

    event_name: str = ""
    customer: str = ""
    identifier: str = ""

    @property
    def lane(self) -> Lane | None:
        """The lane the call runs in, or None where its customer cannot be told, or is too long to be one."""
        return Lane(self.event_name, self.customer) if 0 < len(self.customer) <= MAX_LANE_CUSTOMER else None
