"""Which train rows of the features are trained on, and how often; the shards stay as they are."""
