"""Judging: a trained computer, videos beside videos, videos beside problems."""
