"""Settings of a run, the runner, and what a run leaves behind."""
