"""The fault harness: the product is killed, starved, cut and tampered with; what is left must be as if nothing was."""
