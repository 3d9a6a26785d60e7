"""A mail becomes a case."""
