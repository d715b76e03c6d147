"""Customers import: whole or not at all, with a history that the same file does not change."""

from pathlib import Path

import pytest

from meterledger.domain.instant import parse_instant
from meterledger.errors import InputError
from meterledger.ledger import open_ledger
from meterledger.readers import InputFormat
from meterledger.usecases.import_customers import CustomersReport
from meterledger.usecases.list_customers import list_customers
from support.customers import customer, customers_csv, take_customers
from support.importing import CONFIG, START, Importing

PLANS = CONFIG + "[plans.pro.features.api_calls]\n[plans.basic.features.api_reads]\n"
OCTOBER = parse_instant("2026-10-01T00:00:00Z")
NOVEMBER = parse_instant("2026-11-01T00:00:00Z")


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config that has plans."""
    return Importing(tmp_path, PLANS)


def take(ledger: Importing, *rows: str, **options: object) -> CustomersReport:
    """Import one customers file of these rows."""
    return take_file(ledger, customers_csv(ledger.folder, *rows), **options)


def take_file(ledger: Importing, *files: str, **options: object) -> CustomersReport:
    """Import customers files."""
    return take_customers(ledger.ledger_path, ledger.settings, ledger.clock, *files, **options)


def counted(report: CustomersReport) -> tuple[int, int, int, int, int]:
    """Return rows read, added, changed, unchanged and absent."""
    return report.rows_read, report.added, report.changed, report.unchanged, report.absent


def listed(ledger: Importing, now: int = START, **options: object) -> list[tuple[object, ...]]:
    """Return customer, subscription, Stripe customer, plan, status, beginning and end, as listed."""
    with open_ledger(ledger.ledger_path) as opened:
        found = list_customers(opened, now=now, **options)  # type: ignore[arg-type] # options of a test
    keys = ("customer_id", "subscription_id", "stripe_customer_id", "plan", "status", "effective_at", "until")
    return [tuple(one[key] for key in keys) for one in found]


def reasons(report: CustomersReport) -> list[tuple[int, str]]:
    """Return line and reason of every problem."""
    return [(one.line, one.reason) for one in report.problems]


def test_the_first_file_holds_since_ever(ledger: Importing) -> None:
    """Each row becomes what holds for all time, unless it says since when itself."""
    report = take(
        ledger,
        customer("acme", "cus_A", "sub_1", plan="pro"),
        customer("acme", "cus_B", "sub_2", status="canceled"),
        customer("beta", "cus_C", effective_at="2026-11-01T00:00:00Z"),
    )

    assert (report.committed, counted(report)) == (True, (3, 3, 0, 0, 0))
    assert listed(ledger, OCTOBER) == [
        ("acme", "sub_1", "cus_A", "pro", "active", None, None),
        ("acme", "sub_2", "cus_B", None, "canceled", None, None),
    ]
    assert listed(ledger, NOVEMBER)[2][0] == "beta"


def test_the_same_file_again_changes_nothing(ledger: Importing) -> None:
    """Not a byte of the ledger is other than before, now or for another time."""
    rows = (customer("acme", "cus_A"), customer("beta", "cus_B", effective_at="2026-10-01T00:00:00Z"))
    take(ledger, *rows)
    before = ledger.dump()

    assert counted(take(ledger, *rows)) == counted(take(ledger, *rows, effective=OCTOBER)) == (2, 0, 0, 2, 0)
    assert ledger.dump() == before


def test_a_change_holds_since_now_or_since_when_is_said(ledger: Importing) -> None:
    """Without a time a change begins with the import, with --effective then, with effective_at of its row."""
    take(ledger, *(customer(name, "cus_1") for name in ("a", "b", "c")))
    now = take(ledger, customer("a", "cus_2"))
    take(
        ledger,
        customer("b", "cus_2"),
        customer("c", "cus_2", effective_at="2026-09-01T00:00:00Z"),
        effective=OCTOBER,
    )

    assert (counted(now), now.effective) == ((1, 0, 1, 0, 2), ledger.clock.now - 1_000_000)
    assert [(one[0], one[5]) for one in listed(ledger, START + 10**9)] == [
        ("a", "2026-11-01T00:00:02Z"),
        ("b", "2026-10-01T00:00:00Z"),
        ("c", "2026-09-01T00:00:00Z"),
    ]


def test_what_is_absent_keeps_holding(ledger: Importing) -> None:
    """A file that lacks a known subscription ends nothing, and the count says so."""
    take(ledger, customer("acme", "cus_A", "sub_1"), customer("acme", "cus_A", "sub_2"))
    report = take(ledger, customer("acme", "cus_A", "sub_1"))

    assert counted(report) == (1, 0, 0, 1, 1)
    assert len(listed(ledger)) == 2


def test_a_change_before_a_recorded_one_holds_until_that(ledger: Importing) -> None:
    """What was recorded for a later time stays, and the report says that the change ends there."""
    take(ledger, customer("acme", "cus_A"))
    take(ledger, customer("acme", "cus_C"), effective=NOVEMBER)
    report = take(ledger, customer("acme", "cus_B"), effective=OCTOBER)

    assert (report.changed, report.until_later) == (1, 1)
    assert [one[2:] for one in listed(ledger, with_history=True)] == [
        ("cus_A", None, "active", None, "2026-10-01T00:00:00Z"),
        ("cus_B", None, "active", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("cus_C", None, "active", "2026-11-01T00:00:00Z", None),
    ]


def test_a_record_is_corrected_from_the_same_instant(ledger: Importing) -> None:
    """A state that was wrong gives way to one that begins when it did; the record of both stays."""
    take(ledger, customer("acme", "cus_A"))
    take(ledger, customer("acme", "cus_B"), effective=OCTOBER)
    report = take(ledger, customer("acme", "cus_C"), effective=OCTOBER)

    assert (report.changed, report.until_later) == (1, 0)
    assert [one[2] for one in listed(ledger)] == ["cus_C"]
    assert len(listed(ledger, with_history=True)) == 3


def test_the_list_as_of_an_instant_hides_what_was_recorded_later(ledger: Importing) -> None:
    """A question about the past is answered from what was known then."""
    take(ledger, customer("acme", "cus_A"))
    known_by = ledger.clock.now
    take(ledger, customer("acme", "cus_B"), effective=OCTOBER)

    assert [one[2] for one in listed(ledger, known_by)] == ["cus_B"]
    assert [one[2] for one in listed(ledger, known_by, as_of=known_by)] == ["cus_A"]


def test_the_list_of_one_customer(ledger: Importing) -> None:
    """A customer is found by its own id, and by the Stripe customer that it has at that time."""
    take(ledger, customer("acme", "cus_A"), customer("beta", "cus_B"))
    take(ledger, customer("acme", "cus_C"), effective=OCTOBER)

    assert [one[0] for one in listed(ledger, customer="acme")] == ["acme"]
    assert [one[0] for one in listed(ledger, customer="cus_C")] == ["acme"]
    assert listed(ledger, customer="cus_A") == []
    assert len(listed(ledger, customer="cus_A", with_history=True)) == 2
    assert [one[0] for one in listed(ledger, customer="cus_A", now=OCTOBER - 1)] == ["acme"]


def test_one_bad_row_and_nothing_is_taken(ledger: Importing) -> None:
    """Every problem of every file is listed, and the ledger is as it was."""
    before = ledger.dump()
    first = customers_csv(
        ledger.folder,
        customer("acme", "cus_A", plan="prro"),
        customer("good", "cus_G"),
        customer("", "cus_A"),
        customer("beta", "cus_B", status="ended"),
        "too,many,fields,in,this,row,here",
    )
    second = customers_csv(ledger.folder, customer("late", "acct_9"), name="more.csv")
    report = take_file(ledger, first, second)

    assert reasons(report) == [
        (2, "unknown_plan"),
        (4, "missing_field"),
        (5, "unknown_status"),
        (6, "malformed_row"),
        (2, "no_stripe_customer"),
    ]
    assert (report.committed, report.rows_read, report.added) == (False, 6, 0)
    assert [one.file for one in report.problems] == [first] * 4 + [second]
    assert ledger.dump() == before


def test_rows_that_contradict_each_other_are_refused(ledger: Importing) -> None:
    """One subscription has one row; the same row twice is no contradiction, also in two files."""
    first = customers_csv(
        ledger.folder,
        customer("acme", "cus_A", "sub_1"),
        customer("acme", "cus_A", "sub_1"),
        customer("acme", "cus_B", "sub_2"),
    )
    good = take_file(ledger, first, first, dry_run=True)
    other = customers_csv(
        ledger.folder, customer("acme", "cus_B", "sub_1", status="canceled"), name="more.csv"
    )
    report = take_file(ledger, first, other)

    assert (good.problems, counted(good)) == ([], (6, 2, 0, 4, 0))
    assert reasons(report) == [(2, "contradiction")]
    assert "stripe_customer_id and status" in report.problems[0].message
    assert f"{first}:2" in report.problems[0].message


def test_a_dry_run_counts_and_keeps_nothing(ledger: Importing) -> None:
    """What would happen is told as it would happen."""
    take(ledger, customer("acme", "cus_A"))
    before = ledger.dump()
    report = take(ledger, customer("acme", "cus_B"), customer("beta", "cus_C"), dry_run=True)

    assert (report.committed, counted(report)) == (False, (2, 1, 1, 0, 0))
    assert ledger.dump() == before


def test_jsonl_is_read_too(ledger: Importing) -> None:
    """The readers of usage read customers, with their formats and line numbers."""
    path = ledger.write_bytes(
        "customers.data",
        b'{"customer_id": "acme", "stripe_customer_id": "cus_A", "billing_cycle_anchor": 1793491200}\n'
        b'\n{"customer_id": 42, "stripe_customer_id": "cus_B", "interval": "3 months"}\n',
    )
    report = take_file(ledger, path, input_format=InputFormat.JSONL)

    assert report.problems == []
    assert ledger.query(
        "SELECT customer_id, line, billing_cycle_anchor, interval_count FROM subscription_states ORDER BY id"
    ) == [("acme", 1, 1_793_491_200_000_000, 1), ("42", 3, None, 3)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"customer_id,stripe_customer_id\n", "holds no customers"),
        (b"customer_id,plan\nacme,pro\n", "stripe_customer_id"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_no_customers_file_ends_the_command(
    ledger: Importing, content: bytes, words: str
) -> None:
    """An empty list would make every customer unknown; a wrong one is told which columns there are."""
    path = ledger.write_bytes("customers.csv", content)

    with pytest.raises(InputError) as error:
        take_file(ledger, path)
    assert words in error.value.message
    assert "sources" not in error.value.hint


def test_a_customers_file_is_kept_with_its_digest(ledger: Importing) -> None:
    """Each state leads to the file and line that it came from."""
    path = customers_csv(ledger.folder, customer("acme", "cus_A"))
    take_file(ledger, path)

    assert ledger.query("SELECT file, length(sha256), rows_read FROM customer_files") == [(path, 64, 1)]


def test_the_sample_is_taken_whole(tmp_path: Path) -> None:
    """The file beside the sample usage shows every kind of row, and each is understood."""
    sample = Path(__file__).parents[2] / "sample_data"
    ledger = Importing(tmp_path, (sample / "meterledger.toml").read_text(encoding="utf-8"))
    report = take_file(ledger, str(sample / "customers.csv"))

    assert (report.problems, counted(report)) == ([], (6, 6, 0, 0, 0))
    assert [(one[0], one[4]) for one in listed(ledger, OCTOBER)] == [
        ("Dalton, Reed & Sons", "canceled"),
        ("acme", "active"),
        ("acme", "past_due"),
        ("brightside", "active"),
        ("corner-shop", "active"),
    ]
