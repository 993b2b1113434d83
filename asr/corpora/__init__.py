"""Corpora: the rows of a source -> a manifest with splits, and the speech that is made here."""
