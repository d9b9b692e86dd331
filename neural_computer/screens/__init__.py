"""A terminal screen as cells: its state, its glyphs, its colours."""
