"""From bytes to CEL and CDR rows, whatever the mapping."""
