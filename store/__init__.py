"""What is true when no mail and no browser is connected. Imports nothing of ours."""
