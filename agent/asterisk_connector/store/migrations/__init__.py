"""Steps of the schema, `NNNN_what.sql`, applied in order and never changed once released."""
