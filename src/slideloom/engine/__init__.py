"""The running of batches: who makes which slide when, and what is written down first."""
