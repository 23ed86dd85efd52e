"""One path as one endless file."""
