"""Who is billed, when, and for how much."""
