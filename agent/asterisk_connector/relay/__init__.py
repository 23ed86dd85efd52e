"""AMI events to Kafka: filter, encode, journal, publish."""
