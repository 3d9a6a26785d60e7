"""Who speaks: one verdict, by one policy for each door."""
