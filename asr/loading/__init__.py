"""Shards -> batches: which clips, in which order, in which window."""
