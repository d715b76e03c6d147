"""A durable local ledger of billable usage that gets every unit onto the right Stripe invoice, once."""

__version__ = "0.1.0"
