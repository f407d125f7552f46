"""What an evaluation leaves for people: a page with a bottom line, pictures and figures."""
