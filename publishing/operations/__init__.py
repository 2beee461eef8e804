"""What operators need: what is going on, what went wrong, and putting it right."""
