"""The rim towards the process: the real clock, the port, the signals, the state file and what is said."""

import asyncio
import errno
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.local_stripe import LocalStripe
from meterledger.simulator.options import Options
from meterledger.simulator.plan import Plan, StartError, check
from meterledger.simulator.protocol.origin import is_loopback
from meterledger.simulator.server import make_server
from meterledger.simulator.state.keeping import Memory, State

SHUTDOWN_SECONDS = 1.0  # how long open requests may take to end after a signal


def run(options: Options) -> None:
    """
    Serve until SIGINT or SIGTERM.

    Raises:
        StartError: An option is not understood, a file cannot be used, or the port is taken.
    """
    plan = check(options)
    with _state(plan) as state:
        asyncio.run(_serve(plan, state))


@contextmanager
def _state(plan: Plan) -> Iterator[State]:
    """Open the state file for the time of the run."""
    if plan.state is None:
        yield Memory()
        return
    # Imported only here: SQLite costs start-up time, and most runs have no state file.
    from meterledger.simulator.state_file.database import StateFileError  # noqa: PLC0415
    from meterledger.simulator.state_file.state_file import open_state  # noqa: PLC0415

    try:
        state = open_state(plan.state)
        try:
            yield state
        finally:
            state.close()
    except StateFileError as failure:
        raise StartError(str(failure)) from None


async def _serve(plan: Plan, state: State) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    real = time.time  # noqa: TID251 - the one place that reads the real clock; everything else is handed it
    clock = SimulatedClock(real, start=plan.start, frozen=plan.frozen)
    stripe = LocalStripe(
        clock,
        plan.rules,
        time.monotonic,
        plan=plan.faults,
        state=state,
    )
    runner = web.ServerRunner(make_server(stripe, plan.latency_seconds), shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, plan, restored=len(stripe.accounts.all()))
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.ServerRunner, plan: Plan, *, restored: int) -> None:
    try:
        await web.TCPSite(runner, plan.host, plan.port).start()
    except OSError as failure:
        if failure.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {plan.port} of {plan.host} is taken, perhaps by another simulator; "
                "--port 0 takes any free one"
            ) from None
        reason = failure.strerror or str(failure)
        raise StartError(f"cannot listen on {plan.host} port {plan.port}: {reason}") from None
    port = runner.addresses[0][1]
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    url = f"http://{host}:{port}"
    _greet(plan, url, restored)
    sys.stdout.write(f"meterledger simulator listening on {url} (not Stripe)\n")
    sys.stdout.flush()


def _greet(plan: Plan, url: str, restored: int) -> None:
    """Say loudly what this is, and what it was told to be like."""
    _say("THIS IS NOT STRIPE. Nothing is billed, nobody is charged, and no request leaves this machine.")
    if not is_loopback(plan.host):
        _say(
            f"WARNING: listening on {plan.host}, which other machines can reach. The simulator is no Stripe, "
            "takes any key and lets anybody turn its clock."
        )
    _say(f"the page for people is {url}/")
    for line in plan.notes:
        _say(line)
    if plan.state is None:
        _say("the state is forgotten at the end")
    else:
        _say(f"the state is kept in {plan.state}; accounts in it: {restored}")


def _say(text: str) -> None:
    sys.stderr.write(f"meterledger simulator: {text}\n")
