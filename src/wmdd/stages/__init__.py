"""The six verbs, `diagnose` beside them, and what other methods have in place of the middle three.

A stage is a plain function from records to a record, with no paths and no printing.
"""
