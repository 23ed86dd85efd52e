"""Configuration: one declarative model; loading, checking and documenting it."""
