"""A trained checkpoint -> directories that other tools load, each heard and with a card; what of them is published."""
