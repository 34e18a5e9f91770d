"""Our networks as files that other engines run."""
