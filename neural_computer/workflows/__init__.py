"""Programs, importable: what train, evaluate, explain and encode do, with arguments in place of flags."""
