"""Evaluation of synthetic visits: several records a patient, in time."""
