"""A plan's Steps into processes: who works on what, on this machine or another."""
