"""What happened, in order, and the audit."""
