"""One verb per file: what a command does, without the command line."""
