"""Everything that a reported figure rests on: protocols, what a student learns from, references, comparison."""
