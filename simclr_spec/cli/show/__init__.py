"""What the terminal shows: plans and explanations (plain text), live runs and status (rich)."""
