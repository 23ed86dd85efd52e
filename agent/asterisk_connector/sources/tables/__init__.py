"""Polling database tables without losing a row."""
