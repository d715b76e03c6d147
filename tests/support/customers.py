"""Customers files written and imported in made-up time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from meterledger.config import Settings
from meterledger.domain.instant import parse_instant
from meterledger.ledger import Ledger, open_ledger
from meterledger.usecases.import_customers import CustomersOptions, CustomersReport, import_customers

COLUMNS = ("customer_id", "stripe_customer_id", "subscription_id", "plan", "status", "effective_at")


def customer(customer_id: str, stripe_customer_id: str, subscription_id: str = "", **fields: str) -> str:
    """Return one row below ``COLUMNS``."""
    values = {
        "customer_id": customer_id,
        "stripe_customer_id": stripe_customer_id,
        "subscription_id": subscription_id,
        "plan": "",
        "status": "",
        "effective_at": "",
    }
    assert fields.keys() <= values.keys()
    return ",".join((values | fields).values())


def customers_csv(folder: Path, *rows: str, name: str = "customers.csv") -> str:
    """Write a customers file, and return its path."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in (",".join(COLUMNS), *rows)), encoding="utf-8")
    return str(path)


def take_customers(
    ledger_path: Path, settings: Settings, clock: Callable[[], int], *files: str, **options: Any
) -> CustomersReport:
    """Import customers files as one command would."""
    with open_ledger(ledger_path) as ledger:
        return import_customers(ledger, settings, CustomersOptions(files=files, **options), clock=clock)


def import_anchors(ledger: Ledger, settings: Settings, folder: Path, **anchors: str) -> None:
    """Import a customers file that says since when the monthly periods of Stripe customers are counted."""
    file = folder / "anchors.csv"
    lines = (f"{name},{name},{anchor}\n" for name, anchor in anchors.items())
    file.write_text("customer_id,stripe_customer_id,billing_cycle_anchor\n" + "".join(lines))
    long_ago = parse_instant("2026-06-01T00:00:00Z")
    import_customers(ledger, settings, CustomersOptions(files=(str(file),)), clock=lambda: long_ago)
