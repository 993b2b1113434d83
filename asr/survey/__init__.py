"""A look at the features before hours are spent on them: what they hold, and what is likely to be wrong."""
