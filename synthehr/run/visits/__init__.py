"""Fitting models of visits, drawing patients with theirs, and going on from given ones."""
