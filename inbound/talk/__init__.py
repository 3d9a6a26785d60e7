"""What kind of mail this is, and what it says."""
