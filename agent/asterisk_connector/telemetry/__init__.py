"""Notices told to people and machines; may fail, may be slow, must not hold a call."""
