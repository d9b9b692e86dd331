"""Makes training data: neural-computer prepare_data --recipe=NAME --out=DIR. A recipe is a file of this folder."""
