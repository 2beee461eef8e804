"""Labels: parts of a channel that are channels of their own, with an end if they have a date."""
