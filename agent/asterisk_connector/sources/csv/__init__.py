"""CEL as text: splitting bytes into records, records into fields, fields into events."""
