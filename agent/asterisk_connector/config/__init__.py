"""The settings: one model, from which checking, example, schema and reference are made."""
