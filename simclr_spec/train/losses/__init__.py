"""Losses. The contrastive ones stand in contrastive.py by name."""
