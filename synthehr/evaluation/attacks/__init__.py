"""What an attacker gets out of a synthetic table, beyond what unseen patients give away.

Every attack is run on training patients and, as its control, on held-out ones: what
succeeds as often on the latter is what the population gives away, not the table.
"""
