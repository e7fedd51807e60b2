"""Evaluation of synthetic images."""
