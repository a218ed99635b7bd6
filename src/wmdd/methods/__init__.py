"""Methods: which stages, wired how. One small file each, one row in the table."""
