"""Files of weights that others wrote: one file for each layout. Nothing in them is ever executed."""
