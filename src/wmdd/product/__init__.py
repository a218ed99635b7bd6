"""The distilled set on disk: written, read back, described by its card."""
