"""The kinds of stage: a torch-free file for each."""
