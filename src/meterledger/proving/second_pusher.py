"""A second pusher: it comes while the first is held in its middle, from another thread."""

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterledger.domain.instant import MINUTE
from meterledger.errors import LedgerError, MeterledgerError, StripeError
from meterledger.proving.history import Push
from meterledger.proving.invariants import Invariant

if TYPE_CHECKING:
    from meterledger.proving.world import World

_LEASE = 2 * MINUTE
"""For so long a lease holds that nobody renews."""


@dataclass(slots=True)
class SecondPusher:
    """Whether one came, and what became of it."""

    came: bool = False
    took_over: bool = False
    held: int = 0
    arrivals: int = 0
    """How many meter events had come to Stripe when it had ended."""
    error: BaseException | None = None

    def come(self, world: "World", step: Push) -> None:
        """Let the first be held, and another push from beginning to end."""
        self.came, self.held = True, step.held
        world.wait(step.held)
        again = replace(step, held_after=None, held=0, limit=None)
        thread = threading.Thread(target=self._push, args=(world, again))
        thread.start()
        thread.join()
        self.arrivals = _arrivals(world)

    def _push(self, world: "World", step: Push) -> None:
        try:
            world.push(step)
            self.took_over = True
        except StripeError as error:
            # It came as far as the door, with the lease.
            self.took_over, self.error = True, error
        except BaseException as error:  # noqa: BLE001 # looked at by the first
            self.error = error

    def check(self, world: "World", *, ended_well: bool) -> None:
        """Check that one of the two alone did its work: the second was refused, or the first sent no more."""
        if self.error is not None and not isinstance(self.error, MeterledgerError):
            raise self.error
        was_refused = isinstance(self.error, LedgerError)
        world.check(
            Invariant.ONE_PUSHER,
            was_refused == (self.held < _LEASE),
            f"held for {self.held / MINUTE} min, the second pusher said: {self.error}",
        )
        if self.took_over:
            world.check(
                Invariant.ONE_PUSHER,
                not ended_well and _arrivals(world) == self.arrivals,
                "the first went on sending after the second had taken over",
            )


def _arrivals(world: "World") -> int:
    arrivals: int = world.stripe.page()["identifier_totals"]["arrivals"]
    return arrivals
