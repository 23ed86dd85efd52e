"""What tests stand on: fakes, real servers, real Asterisk."""
