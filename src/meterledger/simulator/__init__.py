"""
A local, in-memory stand-in for the part of Stripe that Billing Meters need.

It judges the rest of the program, so it shares no code with it: everything here rests on the standard
library, aiohttp and msgspec alone. The rules are plain functions and small classes without IO; only
`server`, `runner` and `__main__` touch the network, the process and the real clock.
"""
