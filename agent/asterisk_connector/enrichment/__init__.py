"""Who, where, whose? Verbs from `Call` to `Call`; a failing step adds a note and never loses the call."""
