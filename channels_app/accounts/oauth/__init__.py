"""The hub as OAuth and OpenID provider: clients such as pixi sign their users in here, by django-allauth."""
