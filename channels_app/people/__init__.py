"""People of channels: members, teams and invitations."""
