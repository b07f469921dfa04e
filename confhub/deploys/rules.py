"""A hook's mapping and filters as one text that people write, and examples of it. Pure but for the
reading, which happens in a limited child.

    events: [release]
    match: {/action: published}
    set:
      TAG: {pointer: /release/tag_name}
    message: {template: "deploy {/release/tag_name}"}
"""

from typing import Any

from confhub.releases import texts

FILTERS = ("events", "match")


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(mapping, filters) of a text in YAML or JSON, not checked yet. Raises TextUnreadable."""
    held = texts.read("yaml", text)
    filters = {name: held.pop(name) for name in FILTERS if name in held}
    return held, filters


def written(mapping: dict[str, Any], filters: dict[str, Any]) -> str:
    """The text of them, in YAML."""
    return texts.write("yaml", {**filters, **mapping})


# {kind: {what it is for: the rules}}; every one is tried on a payload of its sender in the tests.
EXAMPLES: dict[str, dict[str, str]] = {
    "confhub": {
        "A job that sends the tag and the image that it built": """\
set:
  TAG: {pointer: /tag}
message: {template: "deploy {/tag}"}
image:
  name: {pointer: /image/name}
  digest: {pointer: /image/digest}
""",
    },
    "github": {
        "A release is published": """\
events: [release]
match: {/action: published}
set:
  TAG: {pointer: /release/tag_name}
message: {template: "deploy {/release/tag_name} of {/repository/full_name}"}
""",
        "A container image reaches ghcr.io": """\
events: [registry_package]
match: {/action: published}
set:
  TAG: {pointer: /registry_package/package_version/container_metadata/tag/name}
message: {template: "deploy {/registry_package/package_version/container_metadata/tag/name}"}
image:
  name: {template: "ghcr.io/{/repository/full_name}"}
  digest: {pointer: /registry_package/package_version/container_metadata/tag/digest}
""",
        "Somebody pushes to main": """\
events: [push]
match: {/ref: refs/heads/main, /deleted: "false"}
set:
  COMMIT: {pointer: /after}
message: {template: "deploy {/after}"}
""",
    },
    "gitlab": {
        "A release is made": """\
events: [release]
match: {/action: create}
set:
  TAG: {pointer: /tag}
message: {template: "deploy {/tag} of {/project/path_with_namespace}"}
""",
        "A tag is pushed": """\
events: [tag_push]
match: {/ref: refs/tags/v*}
set:
  COMMIT: {pointer: /checkout_sha}
message: {template: "deploy {/ref}"}
""",
    },
    "dockerhub": {
        "A tag is pushed": """\
match: {/push_data/tag: "v*"}
set:
  IMAGE: {template: "{/repository/repo_name}:{/push_data/tag}"}
message: {template: "deploy {/push_data/tag}"}
""",
    },
}
