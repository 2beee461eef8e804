"""The providers to which a trusted publisher may belong."""

from publishing.id_tokens.buildkite import Buildkite
from publishing.id_tokens.circleci import CircleCI
from publishing.id_tokens.generic import Generic
from publishing.id_tokens.github import GitHub
from publishing.id_tokens.gitlab import GitLab
from publishing.id_tokens.google import Google
from publishing.id_tokens.provider import Provider

ALL: tuple[Provider, ...] = (GitHub(), GitLab(), Google(), Buildkite(), CircleCI(), Generic())
PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in ALL}
