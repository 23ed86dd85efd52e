"""The AMI protocol: bytes to events, and a session that knows when it is dead."""
