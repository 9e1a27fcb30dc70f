"""Personal data: what is declared, whose it is, and what becomes of it."""
