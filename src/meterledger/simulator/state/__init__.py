"""What the simulated Stripe remembers, kept apart by account and mode, and what happens by itself in time."""
