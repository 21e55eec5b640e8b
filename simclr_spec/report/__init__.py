"""Tables: rows × columns of a plan's results, beside the paper's numbers, with what departs from the paper below them.

`cells` checks reports without pandas; `table` fills them in, with `notes`; `formats` write them.
"""
