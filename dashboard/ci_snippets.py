"""What a pipeline contains to publish with ConfHub, with this server's address and a place filled in. Pure.

docs/ci/ holds the same texts for https://confhub.example.com and checkout@prod; tests/dashboard/test_ci_snippets.py
runs every line of them in the shell that each system uses.
"""

from dataclasses import dataclass

MARKS = ("URL", "PLACE", "SERVICE", "ENVIRONMENT")


@dataclass(frozen=True)
class Snippet:
    title: str
    name: str  # of its page below docs/ci, and of its anchor
    text: str


GITHUB = """\
# .github/workflows/configuration.yml
name: configuration
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
  id-token: write # the job proves who it is; a trust at ConfHub takes it
  pull-requests: write # for the comment
env:
  CONFHUB_URL: @URL@
  CONFHUB_PLACE: @PLACE@
jobs:
  preview:
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    steps:
      - name: Install
        run: pip install confhub
      - name: Sign in
        run: confhub login --oidc preview --keep file
      - name: Say what would change
        env:
          GITHUB_TOKEN: ${{ github.token }}
          PULL_REQUEST: ${{ github.event.pull_request.number }}
        run: |
          confhub publish -m "pull request $PULL_REQUEST" --set "TAG=$GITHUB_SHA" \\
            --dry-run --markdown > comment.md
          jq -Rs '{body: .}' comment.md | curl --fail-with-body -sS -d @- \\
            -H "Authorization: Bearer $GITHUB_TOKEN" \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments"
  deploy:
    if: github.event_name == 'push'
    runs-on: ubuntu-latest
    environment: prod
    concurrency: confhub
    steps:
      - name: Install
        run: pip install confhub
      - name: Sign in
        run: confhub login --oidc deploy --keep file
      - name: Publish, and wait until it runs everywhere
        run: |
          confhub publish -m "deploy $GITHUB_SHA" --set "TAG=$GITHUB_SHA" \\
            --key "$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT" --wait 300
"""

GITLAB = """\
# .gitlab-ci.yml
variables:
  CONFHUB_URL: @URL@
  CONFHUB_PLACE: @PLACE@
default:
  image: python:3.11
  id_tokens:
    CONFHUB_ID_TOKEN: # the job proves who it is; a trust at ConfHub takes it
      aud: @URL@
  before_script:
    - pip install confhub
preview:
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  script:
    - confhub login --oidc preview --keep file
    - >-
      confhub publish -m "merge request $CI_MERGE_REQUEST_IID" --set "TAG=$CI_COMMIT_SHA"
      --dry-run --markdown > comment.md
    # GITLAB_TOKEN: a masked variable with a project token that has the scope api
    - >-
      curl --fail-with-body -sS -H "PRIVATE-TOKEN: $GITLAB_TOKEN" --data-urlencode "body@comment.md"
      "$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
deploy:
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  environment: prod
  resource_group: confhub
  script:
    - confhub login --oidc deploy --keep file
    - >-
      confhub publish -m "deploy $CI_COMMIT_SHA" --set "TAG=$CI_COMMIT_SHA"
      --key "job-$CI_JOB_ID" --wait 300
"""

JENKINS = """\
// Jenkinsfile
pipeline {
  agent any
  options { disableConcurrentBuilds() }
  environment {
    CONFHUB_URL = '@URL@'
    CONFHUB_PLACE = '@PLACE@'
    CONFHUB_TOKEN = credentials('confhub-token') // a secret text: a token with publish at this place
  }
  stages {
    stage('Install') {
      steps {
        sh 'pip install confhub'
      }
    }
    stage('Say what would change') {
      when { changeRequest() }
      steps {
        sh '''
          confhub publish -m "change $CHANGE_ID" --set "TAG=$GIT_COMMIT" --dry-run --markdown > comment.md
          cat comment.md
        '''
      }
    }
    stage('Publish, and wait until it runs everywhere') {
      when { branch 'main' }
      steps {
        sh '''
          confhub publish -m "deploy $GIT_COMMIT" --set "TAG=$GIT_COMMIT" --key "$BUILD_TAG" --wait 300
        '''
      }
    }
  }
}
"""

SHELL = """\
#!/bin/sh
# With curl, jq and a token in CONFHUB_TOKEN; TAG is what was built.
set -eu
api=@URL@/api/v1/services/@SERVICE@/environments/@ENVIRONMENT@
body=$(jq -n --arg tag "$TAG" '{message: "deploy \\($tag)", set: {TAG: $tag}}')
call() { curl --fail-with-body -sS -H "Authorization: Bearer $CONFHUB_TOKEN" "$@"; }

# What would change, as Markdown.
call -H "Accept: text/markdown" -d "$body" "$api/releases?dry_run=1"

# Publish; repeated with the same key it does nothing again.
answer=$(call -H "Idempotency-Key: deploy-$TAG" -d "$body" "$api/releases")
release=$(printf %s "$answer" | jq .release)

# Wait until every instance confirmed it: 0; one failed: 1; not within five minutes: 3.
state=pending
for turn in 1 2 3 4 5 6 7 8 9 10; do
  answer=$(call "$api/convergence?release=$release&wait=30")
  state=$(printf %s "$answer" | jq -r .state)
  [ "$state" = pending ] || break
done
echo "r$release: $state"
case "$state" in confirmed | nobody) exit 0 ;; failed) exit 1 ;; *) exit 3 ;; esac
"""

HOOK = """\
#!/bin/sh
# With curl, openssl and the secret of a deploy hook in CONFHUB_HOOK_SECRET; no token is needed.
set -eu
body=$(jq -n --arg tag "$TAG" '{tag: $tag}')
now=$(date +%s)
mac=$(printf '%s.%s' "$now" "$body" | openssl dgst -sha256 -hmac "$CONFHUB_HOOK_SECRET" | sed 's/^.*= *//')
curl --fail-with-body -sS --data-binary "$body" -H "Content-Type: application/json" \\
  -H "X-Confhub-Signature: t=$now,v1=$mac" \\
  "@URL@/api/v1/hooks/deploy/@SERVICE@-release?wait=60"
"""


def snippets(*, url: str, service: str, environment: str) -> list[Snippet]:
    """`url` without a slash at its end; the names are slugs, so nothing has to be quoted."""
    held = {"URL": url, "PLACE": f"{service}@{environment}", "SERVICE": service,
            "ENVIRONMENT": environment}  # fmt: skip

    def filled(text: str) -> str:
        for mark in MARKS:
            text = text.replace(f"@{mark}@", held[mark])
        return text

    return [
        Snippet("GitHub Actions", "github-actions", filled(GITHUB)),
        Snippet("GitLab CI", "gitlab-ci", filled(GITLAB)),
        Snippet("Jenkins", "jenkins", filled(JENKINS)),
        Snippet("A shell, with curl", "shell", filled(SHELL)),
        Snippet("A deploy hook, signed", "signed-hook", filled(HOOK)),
    ]
