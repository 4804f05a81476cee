"""Headway: a notebook is a replicated document, and what runs is exactly what you confirmed."""
