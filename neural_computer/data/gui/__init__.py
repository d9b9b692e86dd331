"""Desktops: a synthetic one, recordings of real ones, and who uses them."""
