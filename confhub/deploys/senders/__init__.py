"""Who sends to deploy hooks: one module for each, all with the same few functions (`base.Sender`)."""

from confhub.deploys.senders.base import Proof, Sender, Sent
from confhub.deploys.senders.confhub import Confhub
from confhub.deploys.senders.dockerhub import DockerHub
from confhub.deploys.senders.github import GitHub
from confhub.deploys.senders.gitlab import GitLab

__all__ = ["SENDERS", "Proof", "Sender", "Sent"]

SENDERS: dict[str, Sender] = {  # by models.DeployHook.Kind
    "confhub": Confhub(),
    "github": GitHub(),
    "gitlab": GitLab(),
    "dockerhub": DockerHub(),
}
