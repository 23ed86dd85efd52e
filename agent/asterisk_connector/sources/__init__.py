"""What was seen: each source yields batches of records and the position after them."""
