"""Who belongs to channels: members, the teams and the invitations that make them."""
