"""An embedded PBX recording and an embedded call API, for a first look without a PBX or an account."""
