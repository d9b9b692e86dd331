"""Terminals: recordings, tapes, players and recorders."""
