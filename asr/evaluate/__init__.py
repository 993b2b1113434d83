"""A checkpoint and a test split -> what it hears, and how much of that is wrong."""
