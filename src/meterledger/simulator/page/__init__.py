"""The page at `/`: what the simulator holds, for people."""
