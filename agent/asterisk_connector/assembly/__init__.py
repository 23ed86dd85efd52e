"""Which call is it? Pure: records in, `Call` out, clock passed in."""
