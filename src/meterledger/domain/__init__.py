"""The rules: pure functions and values, with no IO, no clock, no SQL and no Stripe."""
