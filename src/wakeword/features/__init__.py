"""Streams assembled from clips, and the log-mel features of both."""
