"""CI that publishes without a stored secret: issuers, the exchange of their tokens, publishers and their pages."""
