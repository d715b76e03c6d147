"""`/_simulator/reset`: back to how the simulator was started, all but the clock."""

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control.clock import clock_page, turn_clock

RESET_PATH = "/_simulator/reset"

_NOTHING = (b"", b"{}")


def turn_for_reset(clock: SimulatedClock, body: bytes) -> dict[str, object]:
    """
    Do to the clock what the body of a reset says, as the clock's own page would, and show it.

    An empty body leaves the clock alone.

    Raises:
        ApiError: The body is not understood; the clock stays as it was.
    """
    return clock_page(clock) if body.strip() in _NOTHING else turn_clock(clock, body)
