"""What a table may be written as: a file for each format."""
