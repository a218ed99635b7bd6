"""Records on disk: keys, folders, formats. Known to pipeline, report and cli only."""
