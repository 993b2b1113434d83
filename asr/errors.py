"""What goes wrong in a way that a user can mend: one line that names the thing and the remedy, no traceback."""


class UserError(ValueError):
    """Raised with a message that names the offending thing, its value, and what would be right."""
