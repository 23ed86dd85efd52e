"""Host agent for Asterisk: calls to the call API, AMI events to Kafka, nothing lost on the way."""

__version__ = "0.1.0"
