"""Meters and what is counted on them."""
