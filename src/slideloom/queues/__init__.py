"""Who carries "run batch X" to where it runs."""
