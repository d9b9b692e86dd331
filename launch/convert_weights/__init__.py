"""Published weights to ours and back; `python -m launch.convert_weights --help`."""
