"""The registry of signals, a line each. A new signal is a file here and a line below."""
