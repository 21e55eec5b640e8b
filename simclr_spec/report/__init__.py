"""Tables: rows × columns of a plan's results, beside the paper's numbers, with what departs from the paper below them.

`language` and `cells` read and check reports without pandas; `table` fills them in; `render` writes them.
"""
