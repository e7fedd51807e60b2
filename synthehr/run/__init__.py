"""The way of the data through a fit and through a draw."""
