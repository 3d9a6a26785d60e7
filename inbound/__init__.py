"""From the socket to "the case is ready": read flow.py first."""
