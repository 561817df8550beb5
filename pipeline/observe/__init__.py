"""Observes runs and the lake: counts, checks, summaries, alerts, metrics, field health, and doctor's findings."""
