"""The rows that are the truth: one function a question, an AsyncConnection first."""
