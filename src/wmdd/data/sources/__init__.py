"""Where images come from: one kind of source a file; all make a `Listing`, which `opening` turns into image sets."""
