"""From a letter row to an accepted DATA."""
