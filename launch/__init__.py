"""The programs: flags and main, one file each. What they do is in `neural_computer.workflows` and `neural_computer.recording`."""
