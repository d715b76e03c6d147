"""The state in a SQLite file (`--state`): it outlives the process, however that ends."""
