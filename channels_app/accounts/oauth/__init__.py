"""The hub as OAuth 2 and OpenID Connect provider (django-allauth), for clients such as pixi."""
