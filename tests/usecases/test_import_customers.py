"""Import with a customers file: what could not be billed is refused, with its reason and its mend."""

from pathlib import Path

import pytest

from meterledger.domain.instant import parse_instant
from meterledger.domain.row_rules import RowRules
from meterledger.ledger import open_ledger
from meterledger.readers import open_input
from meterledger.usecases.parsing import parsed_chunks
from meterledger.usecases.parsing_process import chunks_from_process
from support.customers import customer, customers_csv, take_customers
from support.importing import CONFIG, Importing, counts, row

PLANS = CONFIG + "[plans.pro.features.api_calls]\n[plans.basic.features.api_reads]\n"
NOON = parse_instant("2026-10-31T12:00:00Z")


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config that has plans."""
    return Importing(tmp_path, PLANS)


def take(ledger: Importing, *rows: str, **options: object) -> None:
    """Import one customers file of these rows, which are good."""
    path = customers_csv(ledger.folder, *rows)
    report = take_customers(ledger.ledger_path, ledger.settings, ledger.clock, path, **options)
    assert report.problems == []


def refusals(ledger: Importing, *rows: str) -> list[tuple[int, str]]:
    """Import usage rows, and return line and reason of those that are refused."""
    report = ledger.run(ledger.write("usage.csv", *rows))
    return [(one.line, one.reason) for one in report.rejections]


def message(ledger: Importing, usage: str) -> str:
    """Import one usage row, and return why it is refused."""
    [refused] = ledger.run(ledger.write("usage.csv", usage)).rejections
    return refused.message


def test_without_a_customers_file_nothing_is_checked(ledger: Importing) -> None:
    """Any customer and any feature of any plan is taken, as long as nobody said who is billed."""
    assert refusals(ledger, row("r1", customer_id="acme"), row("r2", customer_id="cus_9")) == []


def test_a_customers_file_switches_the_checks_on(ledger: Importing) -> None:
    """Unknown, canceled, not in the plan: each is refused for its own reason, the rest is accepted."""
    take(
        ledger,
        customer("acme", "cus_A", "sub_1", plan="pro"),
        customer("basic", "cus_B", plan="basic"),
        customer("free", "cus_F"),
        customer("gone", "cus_G", status="canceled"),
        customer("never", "cus_N", status="incomplete_expired"),
        customer("late", "cus_L", status="past_due"),
        customer("odd", "cus_O", plan="basic", status="canceled"),
    )

    assert refusals(
        ledger,
        row("ok1", customer_id="acme"),
        row("ok2", customer_id="acme", subscription_id="sub_1"),
        row("ok3", customer_id="cus_A"),
        row("ok4", customer_id="basic", feature="api_reads"),
        row("ok5", customer_id="free"),
        row("ok6", customer_id="late"),
        row("n1", customer_id="nobody"),
        row("n2", customer_id="cus_Z"),
        row("n3", customer_id="acme", subscription_id="sub_9"),
        row("c1", customer_id="gone"),
        row("c2", customer_id="never"),
        row("c3", customer_id="odd"),
        row("p1", customer_id="basic"),
    ) == [
        (8, "unknown_customer"),
        (9, "unknown_customer"),
        (10, "unknown_customer"),
        (11, "customer_canceled"),
        (12, "customer_canceled"),
        (13, "customer_canceled"),
        (14, "feature_not_in_plan"),
    ]


def test_the_customer_is_looked_at_last(ledger: Importing) -> None:
    """A row with a fault of its own is refused for that, also where its customer is unknown."""
    take(ledger, customer("acme", "cus_A"))

    assert refusals(
        ledger,
        row("r1", "n/a", customer_id="nobody"),
        row("r2", "1.5", customer_id="nobody"),
        row("r3", "1" * 16, customer_id="nobody"),
        row("r4", customer_id="nobody", feature="unheard_of"),
    ) == [(2, "invalid_quantity"), (3, "too_precise"), (4, "too_many_digits"), (5, "unknown_feature")]


def test_what_held_at_event_time_counts(ledger: Importing) -> None:
    """A subscription canceled at noon takes the usage of the second before, and not that of noon."""
    take(ledger, customer("acme", "cus_A", plan="pro"))
    take(ledger, customer("acme", "cus_A", plan="pro", status="canceled"), effective=NOON)

    assert refusals(
        ledger,
        row("r1", customer_id="acme", event_time="2026-10-31T11:59:59.999999Z"),
        row("r2", customer_id="acme", event_time="2026-10-31T12:00:00Z"),
    ) == [(3, "customer_canceled")]


def test_usage_of_two_stripe_customers_is_no_rejection(ledger: Importing) -> None:
    """Which of two is billed may still be said: the usage is accepted, and held back when it is sealed."""
    take(ledger, customer("acme", "cus_A", "sub_1"), customer("acme", "cus_B", "sub_2"))

    assert refusals(ledger, row("r1", customer_id="acme")) == []


def test_a_feature_of_any_of_its_plans_will_do(ledger: Importing) -> None:
    """Without a subscription in the row, a feature that one of the living subscriptions has is taken."""
    take(
        ledger,
        customer("acme", "cus_A", "sub_1", plan="pro"),
        customer("acme", "cus_A", "sub_2", plan="basic"),
        customer("acme", "cus_A", "sub_3", plan="basic", status="canceled"),
    )

    assert refusals(
        ledger,
        row("r1", customer_id="acme"),
        row("r2", customer_id="acme", feature="api_reads"),
        row("r3", customer_id="acme", feature="egress_gb"),
        row("r4", customer_id="acme", subscription_id="sub_1", feature="api_reads"),
        row("r5", customer_id="acme", subscription_id="sub_3"),
    ) == [(4, "feature_not_in_plan"), (5, "feature_not_in_plan"), (6, "customer_canceled")]


def test_a_plan_that_left_the_config_checks_nothing(ledger: Importing) -> None:
    """Only a plan that the config has can lack a feature."""
    take(ledger, customer("acme", "cus_A", plan="basic"))
    ledger.configure(CONFIG)

    assert refusals(ledger, row("r1", customer_id="acme")) == []


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({"customer_id": "acm\x1be"}, "'acm\\x1be' is in no customers file"),
        ({"customer_id": "acme", "subscription_id": "sub_9"}, "it has 'sub_1', 'sub_2'"),
        ({"customer_id": "many", "subscription_id": "s"}, "and 4 more"),
        ({"customer_id": "new"}, "known, but not at 2026-10-31T12:00:00Z"),
        (
            {"customer_id": "acme", "subscription_id": "sub_2"},
            "'acme' (subscription 'sub_2') is canceled at 2026-",
        ),
        ({"customer_id": "acme", "subscription_id": "sub_1"}, "feature 'api_calls' is not in plan 'basic'"),
    ],
)
def test_the_message_names_value_and_mend(ledger: Importing, usage: dict[str, str], words: str) -> None:
    """What is wrong, and the command that mends it."""
    take(
        ledger,
        customer("acme", "cus_A", "sub_1", plan="basic"),
        customer("acme", "cus_A", "sub_2", status="canceled"),
        customer("new", "cus_C", effective_at="2026-11-01T00:00:00Z"),
        *(customer("many", "cus_M", f"sub_{n}") for n in range(12)),
    )
    told = message(ledger, row("r1", **usage))

    assert words in told
    assert "`meterledger customers import" in told


def test_the_same_file_again_takes_what_was_mended(ledger: Importing) -> None:
    """After a customers import the rows refused for their customer are accepted, and the file is settled."""
    take(ledger, customer("acme", "cus_A"), customer("beta", "cus_B", status="canceled"))
    path = ledger.write(
        "usage.csv",
        row("r1", customer_id="acme"),
        row("r2", customer_id="beta"),
        row("r3", customer_id="gamma"),
    )
    first = ledger.run(path)
    take(ledger, customer("beta", "cus_B"), customer("gamma", "cus_C"), effective=0)
    second = ledger.run(path)
    third = ledger.run(path)

    assert counts(first) == (3, 1, 0, 0, 2)
    assert counts(second) == (3, 2, 1, 0, 0)
    assert [is_open for *_, is_open in ledger.rejects()] == [False, False]
    assert third.files[0].skipped


def test_a_change_of_plans_has_files_read_again(ledger: Importing) -> None:
    """What a plan has decides what rows become, so that a file is not skipped after a change of it."""
    path = ledger.write("usage.csv", row("r1"))
    ledger.run(path)
    ledger.configure(PLANS.replace("pro.features.api_calls", "basic.features.api_calls"))

    assert not ledger.run(path).files[0].skipped


def test_a_process_beside_refuses_the_same(ledger: Importing) -> None:
    """The book travels to the process that reads a large file, and answers there as here."""
    take(
        ledger,
        customer("acme", "cus_A", "sub_1", plan="pro"),
        customer("acme", "cus_B", "sub_2", plan="basic"),
        customer("gone", "cus_G", status="canceled"),
    )
    path = ledger.write(
        "usage.csv",
        *(
            row(f"r{number}", customer_id=name, subscription_id=subscription)
            for number, (name, subscription) in enumerate(
                (name, subscription)
                for name in ("acme", "gone", "cus_A", "cus_B", "nobody")
                for subscription in ("", "sub_1", "sub_2", "sub_3")
            )
        ),
    )
    with open_ledger(ledger.ledger_path) as opened:
        book = opened.customers.book()
    rules = RowRules(
        source=ledger.settings.sources["gateway"],
        catalogue=ledger.settings.catalogue,
        customers=book,
        plans=ledger.settings.plan_features,
    )
    with open_input(path) as file:
        [here] = parsed_chunks(file, rules)
    with open_input(path) as file:
        [beside] = chunks_from_process(file, rules)

    assert [tuple(event) for event in beside.usage] == [tuple(event) for event in here.usage]
    assert beside.rejections == here.rejections
    assert {one.reason.value for one in here.rejections} == {
        "unknown_customer",
        "customer_canceled",
        "feature_not_in_plan",
    }
