"""What goes wrong on purpose: the plan of faults, when each strikes, and the log of the requests they hit."""
