"""Rules on pages that need no run."""
