"""What must outlive the process: batch logs and pictures."""
