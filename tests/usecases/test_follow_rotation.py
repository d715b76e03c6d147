"""Follow over rotation: renamed, truncated, deleted, linked; while somebody follows or nobody does."""

import os
from functools import partial
from pathlib import Path

import pytest

from support.following import Action, FollowingShop
from support.importing import HEADER, row


@pytest.fixture
def shop(tmp_path: Path) -> FollowingShop:
    """Return a folder with an empty ledger."""
    return FollowingShop(tmp_path)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("name", ["u.csv.1", "u.csv-20261101", "old.csv"])
def test_a_renamed_file_is_read_to_its_end_first(shop: FollowingShop, name: str, *, restart: bool) -> None:
    """What was added before and after the renaming, and a last line without end, come before the new file."""
    shop.add_rows("u.csv", row("r1"))
    late = partial(shop.add, name, f"{row('r3')}\n{row('r4')}")
    new = "customer_id,request_id,feature,quantity,event_time\ncus_1,r5,api_calls,1,1793448000\n"
    script: list[Action] = [
        partial(shop.add_rows, "u.csv", row("r2")),
        partial(shop.rotate, "u.csv", name, ""),
        late,
        partial(shop.add, "u.csv", new),
    ]
    if restart:
        shop.follow("u.csv")
        for action in script:
            action()
        shop.follow("u.csv", until_idle=0)
    else:
        shop.follow("u.csv", script=script)

    assert shop.ids() == ["r1", "r2", "r3", "r4", "r5"]
    assert shop.lines()["r5"] == 2
    assert shop.rows_read() == 5

    shop.add("u.csv", "cus_1,r6,api_calls,1,1793448000\n")
    shop.follow("u.csv")

    assert shop.lines()["r6"] == 3
    assert shop.rows_read() == 6


def test_a_rotated_file_goes_on_while_its_writer_does(shop: FollowingShop) -> None:
    """A writer that has not reopened its file yet still writes to the old one; none of that is lost."""
    shop.add_rows("u.csv", row("r1"))
    shop.follow("u.csv", script=[
        partial(shop.rotate, "u.csv", "u.csv.1", f"{HEADER}\n{row('n1')}\n"),
        partial(shop.add_rows, "u.csv.1", row("r2")),
        partial(shop.add_rows, "u.csv.1", row("r3")),
    ])  # fmt: skip

    assert shop.ids() == ["r1", "r2", "r3", "n1"]


def test_half_a_line_at_a_rotation_is_given_time(shop: FollowingShop) -> None:
    """A row whose writer pauses in its middle while the file is rotated is not taken for a shorter one."""
    whole = row("r1", "12")
    cut = whole.index("12") + 1
    shop.add("u.csv", f"{HEADER}\n{whole[:cut]}")
    shop.follow("u.csv", script=[
        partial(shop.rotate, "u.csv", "u.csv.1", f"{HEADER}\n{row('n1')}\n"),
        lambda: None,
        lambda: None,
        partial(shop.add, "u.csv.1", whole[cut:] + "\n"),
    ])  # fmt: skip

    assert shop.ids() == ["r1", "n1"]
    assert shop.usage()[1][3] == "12"


def test_a_file_rotated_twice_while_nobody_looked_is_named(shop: FollowingShop) -> None:
    """A file that came and went between two runs was never seen: the user is told to import it."""
    shop.add_rows("u.csv", row("r1"))
    shop.follow("u.csv")
    shop.rotate("u.csv", "u.csv.2", f"{HEADER}\n{row('r2')}\n")
    shop.rotate("u.csv", "u.csv.1", f"{HEADER}\n{row('r3')}\n")
    shop.follow("u.csv")

    assert shop.ids() == ["r1", "r3"]
    assert any("import these too" in said and "u.csv.1" in said for said in shop.said)


def test_a_remembered_file_that_is_gone_is_said(shop: FollowingShop) -> None:
    """A file that was compressed or removed between runs cannot be found: the user learns what to do."""
    shop.add_rows("u.csv", row("r1"))
    shop.follow("u.csv")
    taken = shop.path("u.csv").stat().st_size
    shop.path("u.csv.1.gz").write_bytes(b"\x1f\x8b")
    # Made before the old one is removed, so that it gets an inode of its own.
    shop.path("new").write_text(f"{HEADER}\n{row('r2')}\n")
    shop.path("new").replace(shop.path("u.csv"))
    shop.follow("u.csv")

    assert shop.ids() == ["r1", "r2"]
    assert any(f"{taken} bytes were taken" in said and "import the rotated" in said for said in shop.said)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("rows", [1, 5])
def test_a_truncated_file_is_read_from_its_start(shop: FollowingShop, rows: int, *, restart: bool) -> None:
    """After copytruncate the file begins anew, also if it is longer by now than it was."""
    shop.add_rows("u.csv", row("r1"), row("r2"))

    def truncate() -> None:
        os.truncate(shop.path("u.csv"), 0)
        shop.add("u.csv", f"{HEADER}\n" + "".join(f"{row(f'n{number}')}\n" for number in range(rows)))

    if restart:
        shop.follow("u.csv")
        truncate()
        shop.follow("u.csv")
    else:
        shop.follow("u.csv", script=[lambda: None, truncate])

    assert shop.ids() == ["r1", "r2", *(f"n{number}" for number in range(rows))]
    assert shop.lines()["n0"] == 2
    assert any("from its start" in said for said in shop.said)


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_is_written_anew_and_begins_as_before_loses_no_row(
    shop: FollowingShop, *, restart: bool
) -> None:
    """It is known by what stands before its place, too: rows that came to stand there are read."""
    kept = [row(f"r{number:03}") for number in range(100)]
    shop.add_rows("u.csv", *kept, row("old1"), row("old2"))

    def rewrite() -> None:
        rows = [*kept, *(row(f"n{number:03}") for number in range(100))]
        shop.path("u.csv").write_text("\n".join([HEADER, *rows, ""]))

    if restart:
        shop.follow("u.csv")
        rewrite()
        shop.follow("u.csv")
    else:
        shop.follow("u.csv", script=[lambda: None, rewrite])

    assert len(shop.ids()) == 100 + 2 + 100
    assert shop.lines()["n000"] == 102
    assert any("from its start" in said for said in shop.said)
    assert shop.query("SELECT length(fingerprint), length(tail_fingerprint) FROM followed_files") == [
        (64, 64)
    ]


def test_a_place_of_an_earlier_version_is_gone_on_at(shop: FollowingShop) -> None:
    """It lacks what stood before it; the next rows that are taken put that right."""
    shop.add_rows("u.csv", row("r1"))
    shop.follow("u.csv")
    shop.execute("UPDATE followed_files SET tail_fingerprint = NULL")
    shop.add_rows("u.csv", row("r2"))
    report = shop.follow("u.csv")

    assert (report.counts.rows_read, report.counts.accepted) == (1, 1)
    assert shop.query("SELECT tail_fingerprint IS NULL FROM followed_files") == [(0,)]


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_is_deleted_and_made_again_is_followed(shop: FollowingShop, *, restart: bool) -> None:
    """What was added before the deletion is read by the open descriptor; the new file, from its start."""
    shop.add_rows("u.csv", row("r1"))

    def make_again() -> None:
        shop.path("u.csv").unlink()
        shop.add_rows("u.csv", row("n1"))

    if restart:
        shop.follow("u.csv")
        make_again()
        shop.follow("u.csv")
        expected = ["r1", "n1"]
    else:

        def add_and_make_again() -> None:
            shop.add_rows("u.csv", row("r2"))
            make_again()

        shop.follow("u.csv", script=[lambda: None, add_and_make_again])
        expected = ["r1", "r2", "n1"]

    assert shop.ids() == expected


def test_the_rest_of_a_deleted_file_is_taken_at_the_end(shop: FollowingShop) -> None:
    """Nobody can read a deleted file later: its last line is taken, with a line end or without."""
    shop.add_rows("u.csv", row("r1"))

    def delete() -> None:
        shop.add("u.csv", row("r2"))
        shop.path("u.csv").unlink()

    shop.follow("u.csv", script=[delete])

    assert shop.ids() == ["r1", "r2"]


def test_a_new_file_without_a_required_column_ends_that_file_only(shop: FollowingShop) -> None:
    """After a rotation the new header holds; if it lacks a column, the other files go on."""
    shop.add_rows("a.csv", row("a1"))
    shop.add_rows("b.csv", row("b1"))
    report = shop.follow("a.csv", "b.csv", script=[
        partial(shop.rotate, "a.csv", "a.csv.1", "request_id,feature\nx,y\n"),
        lambda: None,
        lambda: None,
        partial(shop.add_rows, "b.csv", row("b2")),
    ])  # fmt: skip

    assert shop.ids() == ["a1", "b1", "b2"]
    assert ["lacks the required columns" in error.message for error in report.failed] == [True]
    assert shop.query("SELECT COUNT(*) FROM imports WHERE finished_at IS NULL") == [(0,)]

    shop.path("a.csv").write_text(f"{HEADER}\n{row('a2')}\n")
    shop.follow("a.csv")

    assert shop.ids()[-1] == "a2"


def test_a_file_that_is_rotated_before_its_first_row_is_found(shop: FollowingShop) -> None:
    """A file is remembered from when it was opened, not from its first row on."""
    shop.add("u.csv", "request_id")
    shop.follow("u.csv")
    shop.add("u.csv", HEADER.removeprefix("request_id") + f"\n{row('r1')}\n")
    shop.rotate("u.csv", "u.csv.1", f"{HEADER}\n{row('r2')}\n")
    shop.follow("u.csv")

    assert shop.ids() == ["r1", "r2"]


def test_a_link_to_the_current_file_is_followed(shop: FollowingShop) -> None:
    """Where a link leads to another file from one day to the next, the old one is read to its end first."""
    shop.add_rows("2026-10-31.csv", row("r1"))
    shop.path("u.csv").symlink_to("2026-10-31.csv")

    def next_day() -> None:
        shop.add_rows("2026-10-31.csv", row("r2"))
        shop.add_rows("2026-11-01.csv", row("r3"))
        shop.path("u.csv").unlink()
        shop.path("u.csv").symlink_to("2026-11-01.csv")

    shop.follow("u.csv")
    next_day()
    shop.follow("u.csv")

    assert shop.ids() == ["r1", "r2", "r3"]
