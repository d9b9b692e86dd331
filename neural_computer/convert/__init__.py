"""Published weights to ours and back."""
