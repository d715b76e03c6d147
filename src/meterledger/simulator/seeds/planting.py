"""Gives an account the seeds that it never had."""

from meterledger.simulator.billing.customers import CUSTOMER_DETAILS, CUSTOMER_PREFIX, Customer
from meterledger.simulator.seeds.customers import CustomerSeed
from meterledger.simulator.seeds.subscribing import subscribe
from meterledger.simulator.state.account import Account


def plant(account: Account, now: float) -> None:
    """
    Make the seeds of the account's rules, at an instant in epoch seconds.

    What the account had before stays as it is, deactivated and deleted things too: a seed is made once.
    """
    for spec in account.rules.seeds:
        if not account.meters.knows(spec.event_name):
            account.add_meter(spec, now)
    for seed in account.rules.customer_seeds:
        if not account.customers.knows(seed.id):
            _plant_customer(account, seed, now)


def _plant_customer(account: Account, seed: CustomerSeed, now: float) -> None:
    account.ids.keep_clear_of(seed.id, CUSTOMER_PREFIX, livemode=account.livemode)
    account.customers.put(
        Customer(
            id=seed.id,
            livemode=account.livemode,
            created=int(now),
            details=dict.fromkeys(CUSTOMER_DETAILS),
            metadata=dict(seed.metadata),
        )
    )
    for subscription in seed.subscriptions:
        subscribe(account, seed.id, subscription, now)
