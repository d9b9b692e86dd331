"""Makes training data: python -m launch.prepare_data --recipe=NAME --output=DIR. A recipe is a file of this folder."""
