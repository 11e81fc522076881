"""Faults put into clean pairs on purpose, the filters that should find them, and what came of each."""
