"""Terminals: recording them, reading their screens, drawing them."""
