"""Ways to use a fitted model: conditions, partial records."""
