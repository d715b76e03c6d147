"""The examples of the pages for users run as they stand."""

import shlex
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, Block, marked_blocks
from docs.terminal import Terminal, is_shown
from support.simulator_process import SimulatorProcess

_SHOWN_ADDRESS = "http://127.0.0.1:12111"


def _start_simulator(block: Block, folder: Path) -> SimulatorProcess:
    """Start what a page says; file names in its options are those of the page's folder."""
    [(command, _)] = block.commands()
    program, name, *options = shlex.split(command)
    assert (program, name) == ("meterledger", "simulator")
    return SimulatorProcess(
        *(str(folder / option) if (folder / option).is_file() else option for option in options)
    )


def _run(block: Block, terminal: Terminal, address: str) -> None:
    """Run a block, and compare exit codes and every line of output that the page shows."""
    commands = block.commands()
    for number, (command, expected) in enumerate(commands, 1):
        code, printed = terminal.run(command.replace(_SHOWN_ADDRESS, address))
        told = "\n".join(printed)
        assert code == (block.exit_code if number == len(commands) else 0), f"$ {command}\n{told}"
        missing = [line for line in expected if not is_shown(line, printed)]
        assert not missing, f"$ {command}\nlacks {missing}:\n{told}"


@pytest.mark.parametrize(
    "page",
    [
        ROOT / "README.md",
        DOCS / "getting-started.md",
        DOCS / "getting-your-files-in.md",
        DOCS / "customers.md",
        DOCS / "mending.md",
        DOCS / "push-worker.md",
        DOCS / "simulator.md",
    ],
    ids=lambda page: page.name,
)
def test_every_command_of_a_page_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    """A reader who types what the page says, in its order, sees what it says."""
    address = _SHOWN_ADDRESS
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    with ExitStack() as stack:
        terminal = stack.enter_context(Terminal(tmp_path))
        for block in marked_blocks(page):
            if block.marker == "simulator":
                address = stack.enter_context(_start_simulator(block, tmp_path)).url
            elif block.marker.startswith("append: "):
                with (tmp_path / block.marker.removeprefix("append: ")).open("a") as file:
                    file.write(block.text.replace(_SHOWN_ADDRESS, address))
            else:
                _run(block, terminal, address)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", DOCS / "getting-started.md"], ids=lambda page: page.name
)
def test_a_page_for_beginners_comes_to_a_push_and_an_audit(page: Path) -> None:
    """The pages that are run hold the main job, so that running them proves something."""
    text = "\n".join(block.text for block in marked_blocks(page))
    for command in ("init", "import", "preview", "simulator", "push", "audit"):
        assert f"$ meterledger {command}" in text


def test_a_shown_line_is_found_whatever_its_times_and_widths() -> None:
    """The comparison forgives widths, times and what stands for any text, and nothing else."""
    printed = ["accepted       2", "deadline 2026-12-01T01:00:00Z", "config made: /tmp/x/meterledger.toml"]
    assert is_shown("accepted   2", printed)
    assert is_shown("deadline 2027-01-01T01:00:00Z", printed)
    assert is_shown("config made: …/meterledger.toml", printed)
    assert not is_shown("accepted   3", printed)
    assert not is_shown("accepted", printed)
