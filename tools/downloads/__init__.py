"""Take what the built site offers, and nothing else, and run it where a reader would."""
