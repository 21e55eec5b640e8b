"""What the commands print; only the live view of a run is drawn with rich."""
