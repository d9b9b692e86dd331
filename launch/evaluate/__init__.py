"""Judging: a trained computer, films beside films, films beside problems."""
