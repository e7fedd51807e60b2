"""Differential privacy: the only room that knows about epsilon."""
