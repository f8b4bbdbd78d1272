"""How fast the server answers, beside bare views that give the same answers: `python -m bench`."""
