"""One place that opens a ledger and gives each subject its store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meterledger.ledger import sqlite
from meterledger.ledger.arrivals import ArrivalStore
from meterledger.ledger.baselines import BaselineStore
from meterledger.ledger.closures import ClosureStore
from meterledger.ledger.customers import CustomerStore
from meterledger.ledger.database import Database
from meterledger.ledger.error_reports import ErrorReportStore
from meterledger.ledger.explanations import ExplanationStore
from meterledger.ledger.followed import FollowedStore
from meterledger.ledger.imports import ImportStore
from meterledger.ledger.lease import LeaseStore
from meterledger.ledger.outbox import Outbox
from meterledger.ledger.rejects import RejectStore
from meterledger.ledger.reports import ReportStore
from meterledger.ledger.rollups import RollupStore
from meterledger.ledger.stripe_meters import StripeMeterStore
from meterledger.ledger.subscriptions import SubscriptionStore
from meterledger.ledger.unsealed import UnsealedStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """An open ledger: the database and the stores that speak to it."""

    path: Path
    database: Database
    customers: CustomerStore
    imports: ImportStore
    followed: FollowedStore
    rejects: RejectStore
    lease: LeaseStore
    unsealed: UnsealedStore
    outbox: Outbox
    rollups: RollupStore
    baselines: BaselineStore
    closures: ClosureStore
    reports: ReportStore
    arrivals: ArrivalStore
    explanations: ExplanationStore
    error_reports: ErrorReportStore
    subscriptions: SubscriptionStore
    stripe_meters: StripeMeterStore


def create_ledger(path: Path) -> None:
    """Make an empty ledger; raises LedgerError where something stands already."""
    sqlite.create(path).close()


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """Open a ledger for one command; raises LedgerError if it is missing, foreign, newer or in use."""
    database = sqlite.open_existing(path)
    try:
        yield ledger_over(database, path)
    finally:
        database.close()


def ledger_over(database: Database, path: Path) -> Ledger:
    """Give each subject its store over one database."""
    lease = LeaseStore(database)
    rejects = RejectStore(database)
    outbox = Outbox(database, lease)
    return Ledger(
        path=path,
        database=database,
        customers=CustomerStore(database),
        imports=ImportStore(database, rejects),
        followed=FollowedStore(database),
        rejects=rejects,
        lease=lease,
        unsealed=UnsealedStore(database),
        outbox=outbox,
        rollups=RollupStore(database),
        baselines=BaselineStore(database, lease),
        closures=ClosureStore(database, lease, outbox),
        reports=ReportStore(database),
        arrivals=ArrivalStore(database),
        explanations=ExplanationStore(database),
        error_reports=ErrorReportStore(database, lease, outbox),
        subscriptions=SubscriptionStore(database),
        stripe_meters=StripeMeterStore(database),
    )
