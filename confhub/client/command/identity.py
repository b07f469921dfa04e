"""Who a CI job says that it is: GitHub's and GitLab's identity tokens.

https://docs.github.com/actions/security-for-github-actions/security-hardening-your-deployments
https://docs.gitlab.com/ci/secrets/id_token_authentication/
"""

from urllib.parse import urlsplit

import click
import httpx

from confhub.client.command import environment
from confhub.client.command.failures import Failure

GITHUB_URL, GITHUB_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
GITLAB_VARIABLE = "CONFHUB_ID_TOKEN"
TIMEOUT_S = 15.0


def proof(audience: str, variable: str) -> str:
    """The identity token of this job: asked of GitHub, or found in `variable`, where GitLab put it.

    Raises click.UsageError where this is neither, Failure where GitHub does not answer.
    """
    if found := environment.variable(variable):
        return found
    url, token = environment.variable(GITHUB_URL), environment.variable(GITHUB_TOKEN)
    if url and token:
        return _from_github(url, token, audience)
    raise click.UsageError(
        f"There is no identity here. At GitHub the job needs permissions: id-token: write; at GitLab "
        f"id_tokens: {variable}: aud: …"
    )


def _from_github(url: str, token: str, audience: str) -> str:
    """`url` has a query already; the audience is one more parameter of it."""
    if urlsplit(url).scheme not in ("https", "http"):
        raise click.UsageError(f"{GITHUB_URL} is no address.")
    try:
        answer = httpx.get(
            httpx.URL(url).copy_merge_params({"audience": audience}),
            headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S,
        )  # fmt: skip
        answer.raise_for_status()
        found = answer.json()["value"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"GitHub gave no identity token ({type(error).__name__}).", code="command.no_identity") from error  # fmt: skip
    if not isinstance(found, str) or not found:
        raise Failure("GitHub gave no identity token.", code="command.no_identity")
    return found
