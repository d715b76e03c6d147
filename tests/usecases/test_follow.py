"""Follow: complete rows as they come, each once, over restarts, rotations and deaths."""

import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from meterledger.domain.instant import SECOND
from meterledger.errors import InputError, LedgerError
from meterledger.ledger import Ledger
from meterledger.ledger.opening import ledger_over
from meterledger.ledger.sqlite import open_existing
from meterledger.readers import InputFormat
from meterledger.usecases.follow_lock import only_follower
from meterledger.usecases.followed_file import QUIET_WAITS_IN_A_LINE
from support.crash_points import Crash, CrashPoints, MortalDatabase
from support.customers import customer, customers_csv, take_customers
from support.following import FollowingShop
from support.importing import HEADER, counts, row


@pytest.fixture
def shop(tmp_path: Path) -> FollowingShop:
    """Return a folder with an empty ledger."""
    return FollowingShop(tmp_path)


def test_rows_are_taken_as_they_come(shop: FollowingShop) -> None:
    """What is there is taken, then what is added; each row once, with the line it stands on."""
    shop.add_rows("u.csv", row("r1"), row("r2"))
    report = shop.follow(
        "u.csv",
        script=[
            partial(shop.add_rows, "u.csv", row("r3")),
            lambda: None,
            partial(shop.add_rows, "u.csv", row("r4"), row("r5", "n/a")),
        ],
    )

    assert counts(report) == (5, 4, 0, 0, 1)
    assert shop.lines() == {"r1": 2, "r2": 3, "r3": 4, "r4": 5}
    assert shop.rejects() == [(6, "invalid_quantity", 1, True)]
    assert [(one.line, one.reason) for one in report.rejections] == [(6, "invalid_quantity")]


def test_a_run_is_one_import_with_the_digest_of_what_it_took(shop: FollowingShop) -> None:
    """Provenance holds for what a run took: SHA-256, size, header; it is marked as followed, and finished."""
    shop.add_rows("u.csv", row("r1"))
    shop.follow("u.csv", script=[partial(shop.add_rows, "u.csv", row("r2"))])
    taken = shop.path("u.csv").read_bytes()
    shop.add_rows("u.csv", row("r3"))
    shop.follow("u.csv")
    imports = shop.query(
        "SELECT sha256, size_bytes, header, followed, finished_at IS NOT NULL, rows_read, path FROM imports"
    )
    rest = f"{row('r3')}\n".encode()

    assert imports == [
        (hashlib.sha256(taken).hexdigest(), len(taken), HEADER, 1, 1, 2, str(shop.path("u.csv"))),
        (hashlib.sha256(rest).hexdigest(), len(rest), HEADER, 1, 1, 1, str(shop.path("u.csv"))),
    ]


def test_a_run_that_finds_no_row_leaves_no_import(shop: FollowingShop) -> None:
    """A cron line that finds nothing new does not fill the list of imports."""
    shop.add_rows("u.csv")
    shop.follow("u.csv")
    shop.follow("u.csv")

    assert shop.query("SELECT COUNT(*) FROM imports") == [(0,)]


@pytest.mark.parametrize("restart", [False, True])
def test_a_row_that_comes_byte_by_byte_is_never_half_read(shop: FollowingShop, *, restart: bool) -> None:
    """Wherever a writer pauses, in quotes, in a character, in a line end, the row is taken whole, once."""
    quoted = row("q", customer_id='"cus\n1"')
    content = f"{HEADER}\r\n{row('é')}\n{quoted}\n\n{row('z')}\n".encode()
    if restart:
        for byte in range(len(content)):
            shop.add("u.csv", content[byte : byte + 1])
            shop.follow("u.csv", until_idle=0)
    else:
        shop.follow(
            "u.csv",
            script=[partial(shop.add, "u.csv", content[byte : byte + 1]) for byte in range(len(content))],
        )

    assert shop.lines() == {"é": 2, "q": 3, "z": 6}
    assert shop.rows_read() == 3


def test_jsonl_is_followed(shop: FollowingShop) -> None:
    """Objects on lines are rows too; half a line is left."""
    one = {
        "request_id": "r1", "customer_id": "cus_1", "feature": "api_calls", "quantity": 1,
        "event_time": "2026-10-31T12:00:00Z",
    }  # fmt: skip
    text = json.dumps(one)
    shop.add("u.jsonl", f"{text}\n{text[:20]}")
    shop.follow("u.jsonl", script=[partial(shop.add, "u.jsonl", text[20:].replace("r1", "r2") + "\n")])
    shop.add("u.jsonl", text.replace("r1", "r3") + "\n")
    shop.follow("u.jsonl")

    assert shop.query("SELECT line FROM usage_events ORDER BY id") == [(1,), (3,)]
    assert shop.rows_read() == 3


def test_the_last_line_is_left_until_it_has_its_end(shop: FollowingShop) -> None:
    """At the end of a run a line without its line feed is left, and the user is told."""
    shop.add_rows("u.csv", row("r1"))
    shop.add("u.csv", row("r2"))
    shop.follow("u.csv", until_idle=0)

    assert shop.ids() == ["r1"]
    assert any("no complete row yet" in said for said in shop.said)

    shop.add("u.csv", "\n")
    shop.follow("u.csv", until_idle=0)

    assert shop.ids() == ["r1", "r2"]


def test_a_customers_file_that_comes_meanwhile_holds(shop: FollowingShop) -> None:
    """A run may last for months: a customer that was made known since it began is known to it."""
    path = customers_csv(shop.folder, customer("acme", "cus_A"))
    shop.add_rows("u.csv", row("r1", customer_id="nobody"))

    def make_known() -> None:
        assert take_customers(shop.ledger_path, shop.settings, shop.clock, path).problems == []
        shop.add_rows("u.csv", row("r2", customer_id="acme"), row("r3", customer_id="nobody"))

    report = shop.follow("u.csv", script=[make_known])

    assert shop.ids() == ["r1", "r2"]
    assert [(one.line, one.reason) for one in report.rejections] == [(4, "unknown_customer")]


def test_several_files_are_followed_at_once(shop: FollowingShop) -> None:
    """Each file has its own header, place and import."""
    shop.add_rows("a.csv", row("a1"))
    shop.add("b.csv", "quantity,request_id,feature,customer_id,event_time\n1,b1,api_calls,cus_1,1793448000\n")
    report = shop.follow("a.csv", "b.csv", "./a.csv", script=[
        partial(shop.add_rows, "a.csv", row("a2")),
        partial(shop.add, "b.csv", "1,b2,api_calls,cus_1,1793448000\n"),
    ])  # fmt: skip

    assert sorted(shop.ids()) == ["a1", "a2", "b1", "b2"]
    assert [one.counts.accepted for one in report.files] == [2, 2]


def test_a_file_that_is_not_there_yet_is_waited_for(shop: FollowingShop) -> None:
    """The user is told once, and the file is read when it comes."""
    shop.follow("u.csv", script=[lambda: None, partial(shop.add_rows, "u.csv", row("r1"))])

    assert shop.ids() == ["r1"]
    assert len([said for said in shop.said if "waiting" in said]) == 1


def test_a_file_that_never_came_fails_a_run_that_ends_by_itself(shop: FollowingShop) -> None:
    """A misspelt path in a cron line is no silent success."""
    report = shop.follow("u.csv", until_idle=2 * SECOND)

    assert [error.message for error in report.failed] == [f"{shop.path('u.csv')} does not exist"]


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\n", b"[\n", b"PAR1\n"])
def test_what_does_not_grow_by_lines_is_refused(shop: FollowingShop, content: bytes) -> None:
    """Compressed files and whole documents cannot be followed."""
    shop.add("u.csv", content)
    report = shop.follow("u.csv")

    assert len(report.failed) == 1
    assert isinstance(report.failed[0], InputError)
    assert report.files == []


def test_a_followed_file_can_be_imported_as_a_whole(shop: FollowingShop) -> None:
    """A followed import, though it may have taken all there was, does not stand for a reading of the file."""
    shop.add_rows("u.csv", row("r1"), row("r2"))
    shop.follow("u.csv")
    whole = shop.run(str(shop.path("u.csv")))

    assert not whole.files[0].skipped
    assert counts(whole) == (2, 0, 2, 0, 0)


@pytest.mark.parametrize(("name", "delimiter", "parts"), [("u.tsv", None, "\t"), ("u.csv", ";", ";")])
def test_other_delimiters_are_followed(
    shop: FollowingShop, name: str, delimiter: str | None, parts: str
) -> None:
    """TSV by its name, or what the user says parts the fields; quotes are looked at behind it."""
    quoted = row("r1", customer_id='"cus\n1"').replace(",", parts)
    shop.add(name, f"{HEADER}\n".replace(",", parts) + quoted[:8])
    shop.follow(name, script=[partial(shop.add, name, f"{quoted[8:]}\n")], delimiter=delimiter)

    assert shop.lines() == {"r1": 2}
    assert shop.query("SELECT delimiter FROM imports") == [(parts,)]


def test_the_format_can_be_named(shop: FollowingShop) -> None:
    """--input-format holds for a name that says nothing."""
    shop.add("u.log", '{"request_id":"r1"}\n')
    report = shop.follow("u.log", declared=InputFormat.JSONL)

    assert counts(report) == (1, 0, 0, 0, 1)


def test_a_second_follower_of_the_same_file_is_refused(shop: FollowingShop) -> None:
    """Two would write the same rows and fight for the place: the second one learns who is at it."""
    shop.add_rows("u.csv", row("r1"))
    path = str(shop.path("u.csv"))
    with (
        only_follower(shop.ledger_path, "default", path),
        pytest.raises(LedgerError, match=f"followed into this ledger already, by process {os.getpid()} on"),
    ):
        shop.follow("u.csv")
    shop.follow("u.csv")

    assert shop.ids() == ["r1"]
    assert sorted(one.name for one in shop.folder.iterdir() if "follow" in one.name) == []


def test_a_lock_whose_process_is_gone_does_not_hold(shop: FollowingShop) -> None:
    """The file that carried the lock may stay after a kill; the lock itself does not."""
    shop.add_rows("u.csv", row("r1"))
    path = str(shop.path("u.csv"))
    with only_follower(shop.ledger_path, "default", path):
        (lock,) = (one for one in shop.folder.iterdir() if "follow" in one.name)
        left = lock.read_bytes()
    lock.write_bytes(left)
    shop.follow("u.csv")

    assert shop.ids() == ["r1"]


def crashing(points: CrashPoints) -> Callable[[Path], Ledger]:
    """Open a ledger whose process dies at one of its points."""
    return lambda path: ledger_over(MortalDatabase(open_existing(path), points), path)


def rotating_script(shop: FollowingShop) -> list[Callable[[], object]]:
    """Return a script with rows, a rotation with a last line that has no end, and rows behind it."""
    return [
        partial(shop.add_rows, "u.csv", row("r3"), row("bad", "n/a")),
        partial(shop.add, "u.csv", row("r4")),
        partial(shop.rotate, "u.csv", "u.csv.1", f"{HEADER}\n{row('r5')}\n"),
        *[lambda: None] * QUIET_WAITS_IN_A_LINE,
        partial(shop.add_rows, "u.csv", row("r6")),
    ]


def test_a_kill_at_any_commit_neither_loses_nor_doubles_a_row(tmp_path: Path) -> None:
    """Before and after each commit: the next run goes on at the place, and every row is counted once."""
    points = CrashPoints()
    passed = 1
    at = 0
    while at < passed:
        folder = tmp_path / str(at)
        folder.mkdir()
        shop = FollowingShop(folder)
        shop.add_rows("u.csv")
        shop.follow("u.csv", until_idle=0)
        shop.add_rows("u.csv", row("r1"), row("r2"))
        script = rotating_script(shop)
        points = CrashPoints(at or None)
        left = iter(script)
        try:
            shop.follow("u.csv", script=left, over=crashing(points))
        except Crash:
            for action in left:
                action()
            shop.follow("u.csv", until_idle=SECOND)
        passed = max(passed, len(points.passed) + 1)
        at += 1

        assert shop.ids() == ["r1", "r2", "r3", "r4", "r5", "r6"], at
        assert shop.rejects() == [(5, "invalid_quantity", 1, True)], at
        assert shop.rows_read() == 7, at
    assert passed > 10
