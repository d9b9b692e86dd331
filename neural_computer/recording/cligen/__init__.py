"""CLIGen: datasets of terminal videos, general and clean, with captions and redaction."""
