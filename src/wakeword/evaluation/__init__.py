"""Figures with intervals, and their pictures."""
