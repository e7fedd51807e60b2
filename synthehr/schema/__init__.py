"""What the columns of a table are: guessed with reasons, read and written, held against a table."""
