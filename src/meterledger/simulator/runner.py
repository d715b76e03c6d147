"""The rim towards the process: the real clock, the port, the signals and the one line on stdout."""

import asyncio
import signal
import sys
import time

from aiohttp import web

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.local_stripe import LocalStripe
from meterledger.simulator.options import Options
from meterledger.simulator.plan import ClockMode, Plan, StartError, check, is_loopback
from meterledger.simulator.server import make_server

SHUTDOWN_SECONDS = 1.0  # how long open requests may take to end after a signal


def run(options: Options) -> None:
    """
    Serve until SIGINT or SIGTERM.

    Raises:
        StartError: An option is not understood, a file is unreadable, or the port is taken.
    """
    plan = check(options)
    if not is_loopback(plan.host):
        _say(
            f"WARNING: listening on {plan.host}, which other machines can reach. The simulator is no Stripe, "
            "takes any key and lets anybody turn its clock."
        )
    asyncio.run(_serve(plan))


async def _serve(plan: Plan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    real = time.time  # noqa: TID251 - the one place that reads the real clock; everything else is handed it
    clock = SimulatedClock(real, start=plan.start, frozen=plan.mode is ClockMode.FROZEN)
    stripe = LocalStripe(clock, plan.rules, time.monotonic)
    runner = web.ServerRunner(make_server(stripe, plan.latency_seconds), shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, plan)
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.ServerRunner, plan: Plan) -> None:
    try:
        await web.TCPSite(runner, plan.host, plan.port).start()
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise StartError(f"cannot listen on {plan.host} port {plan.port}: {reason}") from None
    port = runner.addresses[0][1]
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    sys.stdout.write(f"meterledger simulator listening on http://{host}:{port} (not Stripe)\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"meterledger simulator: {text}\n")
