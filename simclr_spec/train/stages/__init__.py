"""One training file for each kind of stage."""
