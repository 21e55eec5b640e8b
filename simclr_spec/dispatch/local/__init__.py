"""The runner `local`: one Step at a time in each slot of this machine."""
