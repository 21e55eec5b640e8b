"""One page of all tables: nothing from elsewhere, everything escaped by `markup`.

`page` puts it together: `summary` comes first, `section` is one report with its `figure`s, `plan` the stages; `cell` and
`steps` are what opens, `curves` and `drawing` its small pictures.
"""
