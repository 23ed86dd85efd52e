"""Enrichment: verbs, `Call` → `Call`, each adding what the call itself does not say. Pure."""
