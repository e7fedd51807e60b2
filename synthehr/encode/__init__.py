"""Tables as codes, and back."""
