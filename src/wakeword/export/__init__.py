"""The files that ship, and the gate that they must pass."""
