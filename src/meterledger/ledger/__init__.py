"""Durable truth: the only home of SQL."""

from meterledger.ledger.opening import Ledger, create_ledger, open_ledger

__all__ = ["Ledger", "create_ledger", "open_ledger"]
