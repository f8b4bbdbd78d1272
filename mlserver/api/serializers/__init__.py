"""What the API answers with (rows) and what it is told (commands)."""
