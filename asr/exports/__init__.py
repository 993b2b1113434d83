"""A trained checkpoint -> directories that other tools load, each heard on the test split, with a model card."""
