"""The durable middle: one SQLite file, and everything in it committed with the position that brought it."""
