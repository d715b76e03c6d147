"""Proving: seeded histories of imports, pushes, crashes, faults and clock jumps, against a local Stripe."""
