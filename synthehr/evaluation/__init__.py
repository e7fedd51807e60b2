"""How faithful a synthetic table is, and how near to the patients it was made from."""
