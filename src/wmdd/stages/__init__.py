"""The six verbs, and `random` and `diagnose` beside them, one file each.

A stage is a plain function from records to a record, with no paths and no printing.
"""
