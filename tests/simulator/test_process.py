"""The simulator as a program: starting, failing to start, stopping, and its typer command."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from meterledger.cli.simulator import SimulatorCommand, simulator
from meterledger.simulator.options import Panel, flags
from support.simulator_process import SimulatorProcess

FAILURE_SECONDS = 20.0


def start_and_fail(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program with arguments it cannot start with."""
    command = [sys.executable, "-m", "meterledger.simulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=FAILURE_SECONDS, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(number: signal.Signals) -> None:
    """Either signal ends the program with 0 and without a word on stderr but for what it said first."""
    process = SimulatorProcess()
    assert process.stop(number) == 0
    assert [line.startswith("meterledger simulator: ") for line in process.stderr.splitlines()] == [True] * 3


def test_it_says_what_was_seeded(tmp_path: Path) -> None:
    """How many meters and customers were made of which file is told at the start, and they are there."""
    config, customers = tmp_path / "meterledger.toml", tmp_path / "customers.csv"
    config.write_text("[meters.tokens]\n", encoding="utf-8")
    customers.write_text("customer_id,stripe_customer_id\na,cus_A\nb,cus_B\n", encoding="utf-8")
    process = SimulatorProcess("--seed-from", str(config), "--state", str(tmp_path / "state.db"))
    process.stop()
    assert f"1 meter of {config}, in every account from its first call on\n" in process.stderr
    assert f"2 customers of {customers}, in every account from its first call on\n" in process.stderr
    assert f"the state is kept in {tmp_path / 'state.db'}; accounts in it: 0\n" in process.stderr


def test_it_says_what_it_is() -> None:
    """At the start it says on stderr that it is no Stripe, where its page is, and if it forgets."""
    process = SimulatorProcess()
    process.stop()
    first, page, state = process.stderr.splitlines()
    assert "NOT STRIPE" in first
    assert "Nothing is billed" in first
    assert page.endswith(f" {process.url}/")
    assert "forgotten" in state


def test_options_reach_the_simulator(tmp_path: Path) -> None:
    """Clock and seeds given on the command line are what the pages show."""
    config = tmp_path / "meterledger.toml"
    config.write_text('[meters.tokens]\naggregation = "count"\n', encoding="utf-8")
    with SimulatorProcess(
        "--clock", "2026-11-30T23:00:00Z", "--freeze", "--seed-from", str(config)
    ) as process:
        page = process.ledger()
        assert (page["now"], page["mode"]) == ("2026-11-30T23:00:00Z", "frozen")
        assert process.advance("1h")["now"] == "2026-12-01T00:00:00Z"
        assert process.set_clock("2026-12-24T00:00:00Z")["mode"] == "frozen"
    assert process.stop() == 0


def test_a_taken_port_is_one_line_and_exit_2() -> None:
    """When the port is in use the program says so in one line and ends with 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start_and_fail("--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"meterledger simulator: port {port} of 127.0.0.1 is taken, perhaps by another simulator; "
        "--port 0 takes any free one\n"
    )


def test_a_malformed_seed_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """A seed file that is not understood is named in one line, and the helper class reports it too."""
    config = tmp_path / "meterledger.toml"
    config.write_text('[meters.a]\naggregation = "max"\n', encoding="utf-8")
    done = start_and_fail("--seed-from", str(config))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "meters.a.aggregation" in done.stderr
    with pytest.raises(RuntimeError, match=r"meters\.a\.aggregation"):
        SimulatorProcess("--seed-from", str(config))


def test_every_option_stands_in_the_docs() -> None:
    """The options that --help lists are those of the page, no more and no fewer."""
    page = Path(__file__).parents[2] / "docs" / "simulator-reference.md"
    documented = set(re.findall(r"^\| `(--[a-z0-9-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    shown = start_and_fail("--help").stdout
    assert documented == set(re.findall(r"^  (--[a-z0-9-]+)", shown, re.MULTILINE))


def test_an_open_host_is_warned_about() -> None:
    """Listening where other machines reach it takes the option and draws a loud line."""
    process = SimulatorProcess("--host", "0.0.0.0")  # noqa: S104 - that is what draws the warning
    process.stop()
    assert "WARNING" in process.stderr


def test_the_typer_command_explains_and_fails_alike() -> None:
    """The command shows every option and turns a start error into exit 2 with one line on stderr."""
    app = typer.Typer()
    app.command(cls=SimulatorCommand)(simulator)
    runner = CliRunner()
    shown = runner.invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert shown.exit_code == 0
    for flag in flags():
        assert flag.spelled in shown.output
    assert all(panel in shown.output for panel in Panel)
    failed = runner.invoke(app, ["--latency", "soon"])
    assert (failed.exit_code, failed.stderr.count("\n")) == (2, 1)
