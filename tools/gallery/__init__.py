"""Run the pages of the gallery, check what they say, and check what a finished build shows."""
