"""A base checkpoint and batches -> a better checkpoint, whatever kills the process on the way."""
