"""What a sender of a deploy hook is told: the call of a CI job, or what to type into its settings."""

CALL = """\
body='{"tag": "1.9.0"}'
t=$(date +%s)
v1=$(printf '%s.%s' "$t" "$body" | openssl dgst -sha256 -hmac "$CONFHUB_HOOK_SECRET" | sed 's/^.*= *//')
curl --fail-with-body --data-binary "$body" \\
  -H "Content-Type: application/json" \\
  -H "X-Confhub-Signature: t=$t,v1=$v1" \\
  "ADDRESS?wait=60"
"""
SETTINGS: dict[str, list[tuple[str, str]]] = {
    "github": [
        ("Where", "Settings, Webhooks, Add webhook"),
        ("Payload URL", "ADDRESS"),
        ("Content type", "application/json"),
        ("Secret", "the hook's secret"),
        ("SSL verification", "Enable"),
        ("Events", "the ones that the rules name, and no others"),
    ],
    "gitlab": [
        ("Where", "Settings, Webhooks, Add new webhook"),
        ("URL", "ADDRESS"),
        ("Signing token", "the hook's secret, where your GitLab asks for one"),
        ("Secret token", "the hook's secret, where it has no signing token"),
        ("Trigger", "the events that the rules name, and no others"),
    ],
    "dockerhub": [
        ("Where", "the repository's Webhooks tab"),
        ("Webhook URL", "ADDRESS?key=SECRET"),
    ],
}


def call(address: str) -> str:
    """The lines of a shell that sign a payload and send it; CONFHUB_HOOK_SECRET holds the secret."""
    return CALL.replace("ADDRESS", address)


def settings(kind: str, address: str, secret: str | None) -> list[tuple[str, str]]:
    """[("Payload URL", "https://…"), …]; the secret itself only where it was just made."""
    shown = secret or "the hook's secret"
    return [
        (
            name,
            text.replace("ADDRESS", address)
            .replace("SECRET", secret or "SECRET")
            .replace("the hook's secret", shown),
        )
        for name, text in SETTINGS.get(kind, [])
    ]
