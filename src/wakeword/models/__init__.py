"""Causal networks that stream."""
