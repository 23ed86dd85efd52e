"""Finding the Asterisk of this host and proposing a configuration for it; nothing of Asterisk's is ever changed."""
