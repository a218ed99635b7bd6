"""The six verbs, one file each: a plain function from records to a record, with no paths and no printing."""
