"""One file for each way in which images are stored."""
