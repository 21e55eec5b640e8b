"""One page of all tables: nothing from elsewhere, everything escaped by `markup`.

`page` puts it together, `section` is one report, `cell` and `steps` are what opens, `drawing` are small pictures.
"""
