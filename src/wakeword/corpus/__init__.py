"""Clips: where they come from, how they are stored, and who is in which split."""
