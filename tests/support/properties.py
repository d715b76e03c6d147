"""How properties are tested here: the same examples on every run, few enough to stay quick, no clock."""

from hypothesis import settings

steady = settings(derandomize=True, database=None, deadline=None, max_examples=100)
quick = settings(derandomize=True, database=None, deadline=None, max_examples=60)
"""For properties whose every example writes files or a ledger."""
