"""`meterledger import --follow` as a service and a cron line run it: real processes, fed and ended."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from support.following import FollowingShop
from support.importing import HEADER, row

SECONDS = 60
QUICK = "--poll-interval=20ms"


@dataclass
class Follower:
    """A process that follows, and what it says."""

    process: subprocess.Popen[bytes]

    def says(self, what: str) -> None:
        """Read its words until it has said this."""
        stream = self.process.stderr
        assert stream is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            said = b""
            while what.encode() not in said:
                assert selector.select(SECONDS), said
                block = os.read(stream.fileno(), 65536)
                assert block, said
                said += block

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input."""
        assert self.process.stdin is not None
        return self.process.stdin

    def ends(self) -> tuple[int, str, str]:
        """Wait for its end; return its exit code, its output, and what it said last."""
        out, err = self.process.communicate(timeout=SECONDS)
        assert b"Traceback" not in err, err.decode()
        return self.process.returncode, out.decode(), err.decode()


@dataclass
class Service:
    """A folder with a ledger in which processes follow files."""

    shop: FollowingShop

    @contextmanager
    def following(self, *arguments: str) -> Iterator[Follower]:
        """Start a follower; whatever is left of it is killed."""
        with subprocess.Popen(
            [sys.executable, "-m", "meterledger", "import", "--follow", *arguments],
            cwd=self.shop.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield Follower(process)
            finally:
                if process.poll() is None:
                    process.kill()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "meterledger", *arguments],
            cwd=self.shop.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Return a folder with an empty ledger."""
    return Service(FollowingShop(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_takes_rows_as_they_come_until_it_is_stopped(service: Service, number: int) -> None:
    """One line for each batch; a signal ends it in order with 130, and the import is finished."""
    shop = service.shop
    shop.add_rows("u.csv", row("r1"))
    with service.following("u.csv", QUICK, "--format", "json") as follower:
        follower.says("u.csv: 1 accepted up to line 2")
        shop.add_rows("u.csv", row("r2"), row("bad", "n/a"))
        follower.says("u.csv: 1 accepted, 1 rejected up to line 4")
        shop.rotate("u.csv", "u.csv.1", f"{HEADER}\n{row('r3')}\n")
        follower.says("u.csv: 1 accepted up to line 2")
        follower.process.send_signal(number)
        code, out, err = follower.ends()
    document = json.loads(out)

    assert code == 130
    assert "progress is kept" in err
    assert (document["schema"], document["code"]) == ("meterledger.error/1", 130)
    assert [(one["rows_read"], one["complete"]) for one in document["imports"]] == [(3, True), (1, True)]
    assert shop.ids() == ["r1", "r2", "r3"]
    assert shop.query("SELECT COUNT(*) FROM imports WHERE finished_at IS NULL") == [(0,)]
    assert [one.name for one in shop.folder.iterdir() if "follow" in one.name] == []


def test_a_killed_service_is_no_incomplete_import(service: Service) -> None:
    """After a SIGKILL the next run goes on at the place, and the list does not ask for the file again."""
    shop = service.shop
    shop.add_rows("u.csv", row("r1"))
    with service.following("u.csv", QUICK) as follower:
        follower.says("1 accepted")
        follower.process.kill()
        follower.process.wait(SECONDS)
    shop.add_rows("u.csv", row("r2"))
    code, out, _ = service.run("import", "--follow", "--until-idle", "0s", "--format", "json", "u.csv")
    _, table, _ = service.run("imports", "list")
    _, listed, _ = service.run("imports", "list", "--format", "json")

    assert (code, json.loads(out)["rows_read"]) == (0, 1)
    assert "incomplete" not in table
    assert table.count("followed") == 2
    assert [(one["followed"], one["complete"]) for one in json.loads(listed)["imports"]] == [
        (True, False),
        (True, True),
    ]


def test_a_cron_line_takes_what_is_there_and_ends(service: Service) -> None:
    """--until-idle: 0 without anything refused, 1 with it, and the half line is left and said."""
    shop = service.shop
    shop.add_rows("u.csv", row("r1"))
    shop.add("u.csv", "r2,")
    first = service.run("import", "--follow", "--until-idle", "50ms", QUICK, "u.csv")
    shop.add("u.csv", "x\n")
    second = service.run("--quiet", "import", "--follow", "--until-idle", "0s", "u.csv")

    assert first[0] == 0
    assert "the last 3 bytes are no complete row yet" in first[2]
    assert (second[0], second[2]) == (1, "")
    assert "malformed_row" in second[1]


def test_standard_input_is_followed_to_its_end(service: Service) -> None:
    """Lines from a pipe are taken as they come; when it is closed the last one is taken too."""
    with service.following("-", QUICK) as follower:
        follower.stdin.write(f"{HEADER}\n{row('r1')}\n".encode())
        follower.stdin.flush()
        follower.says("-: 1 accepted up to line 2")
        follower.stdin.write(row("r2").encode())
        code, out, _ = follower.ends()

    assert code == 0
    assert service.shop.ids() == ["r1", "r2"]
    assert "2" in out


def test_a_second_follower_ends_with_4_and_names_the_first(service: Service) -> None:
    """The process that follows is named, so that somebody can look at it."""
    service.shop.add_rows("u.csv", row("r1"))
    with service.following("u.csv", QUICK) as follower:
        follower.says("1 accepted")
        code, _, err = service.run("import", "--follow", "--until-idle", "0s", "u.csv")
        follower.process.terminate()
        follower.ends()

    assert code == 4
    assert f"process {follower.process.pid} on" in err


def test_a_file_that_cannot_be_read_ends_with_3_and_the_others_go_on(service: Service) -> None:
    """A folder, and a header that lacks a column: each is named, and the good file is taken."""
    shop = service.shop
    shop.path("folder").mkdir()
    shop.add("bad.csv", "request_id\nr\n")
    shop.add_rows("u.csv", row("r1"))
    code, _, err = service.run("import", "--follow", "--until-idle", "0s", "folder", "bad.csv", "u.csv")

    assert code == 3
    assert "folder is a folder" in err
    assert "bad.csv:1: the header lacks" in err
    assert shop.ids() == ["r1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--follow", "--dry-run"], "do not go with it"),
        (["--follow", "--strict"], "do not go with it"),
        (["--follow", "--again"], "do not go with it"),
        (["--follow", "--poll-interval", "0s"], "--poll-interval"),
        (["--follow", "--poll-interval", "1"], "is no duration"),
        (["--until-idle", "1s"], "goes with --follow"),
    ],
)
def test_options_that_do_not_go_together_are_refused(service: Service, options: list[str], said: str) -> None:
    """What cannot hold for a file that grows is wrong usage, and nothing is imported."""
    service.shop.add_rows("u.csv", row("r1"))
    code, _, err = service.run("import", *options, "u.csv")

    assert code == 2
    assert said in err
    assert service.shop.ids() == []
