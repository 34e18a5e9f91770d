"""Clips amid other sound: the continuous recordings that a network learns from and is judged on."""
