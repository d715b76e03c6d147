"""The command line: one command per file, arguments in, text or JSON out, no rules."""
