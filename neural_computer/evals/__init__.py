"""What a rollout is worth: pixels, text, tasks."""
