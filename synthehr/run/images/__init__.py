"""How the rooms are put together for images."""
