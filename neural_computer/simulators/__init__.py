"""Pure machines: (state, event) -> (state, picture). No process, no file, no clock."""
