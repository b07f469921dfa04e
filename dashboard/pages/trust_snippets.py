"""What a pipeline has to contain to sign in by its own identity, ready to be copied. Pure.

GitHub and GitLab hand the identity token out in ways of their own; the exchange is one call.
https://docs.github.com/en/actions/reference/security/oidc
https://docs.gitlab.com/ci/secrets/id_token_authentication/
"""

import json
from dataclasses import dataclass
from urllib.parse import quote

from confhub.access.trusts import GITHUB


@dataclass(frozen=True)
class Snippet:
    title: str
    anchor: str  # of its heading
    text: str


def snippets(*, url: str, trust: str, audience: str, issuer: str, place: str) -> list[Snippet]:
    """The forge of the trust's issuer first. `url` is this server's address, `place` an example."""
    github = Snippet(
        "GitHub Actions", "github", _github(url=url, trust=trust, audience=audience, place=place)
    )
    gitlab = Snippet("GitLab CI", "gitlab", _gitlab(url=url, trust=trust, audience=audience, place=place))  # fmt: skip
    return [github, gitlab] if issuer == GITHUB else [gitlab, github]


def _exchange(url: str, trust: str, variable: str) -> str:
    body = f'{{\\"token\\": \\"${variable}\\", \\"trust\\": \\"{trust}\\"}}'
    return f'curl -sSf {url}/api/v1/oidc/exchange -d "{body}" | jq -r .token'


def _github(*, url: str, trust: str, audience: str, place: str) -> str:
    return f"""\
permissions:
  id-token: write
  contents: read
env:
  CONFHUB_URL: {json.dumps(url)}
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - name: Sign in to ConfHub
        run: |
          IDENTITY=$(curl -sSf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
            "$ACTIONS_ID_TOKEN_REQUEST_URL&audience={quote(audience, safe="")}" | jq -r .value)
          TOKEN=$({_exchange(url, trust, "IDENTITY")})
          echo "::add-mask::$TOKEN"
          echo "CONFHUB_TOKEN=$TOKEN" >> "$GITHUB_ENV"
      - name: Publish
        run: confhub publish {place} -m "deploy $GITHUB_SHA" --set "TAG=$GITHUB_SHA" --wait
"""


def _gitlab(*, url: str, trust: str, audience: str, place: str) -> str:
    return f"""\
deploy:
  id_tokens:
    CONFHUB_ID_TOKEN:
      aud: {json.dumps(audience)}
  variables:
    CONFHUB_URL: {json.dumps(url)}
  script:
    - |
      CONFHUB_TOKEN=$({_exchange(url, trust, "CONFHUB_ID_TOKEN")})
      export CONFHUB_TOKEN
    - confhub publish {place} -m "deploy $CI_COMMIT_SHA" --set "TAG=$CI_COMMIT_SHA" --wait
"""
