"""Declarative reproduction of SimCLRv2: specs in, plans, trained networks and the paper's own tables out."""

__version__ = "0.1.0"
