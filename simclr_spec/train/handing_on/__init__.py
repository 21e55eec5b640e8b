"""What was trained, for others: loaded, exported, and let see images."""
