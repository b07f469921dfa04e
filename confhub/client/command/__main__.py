"""`python -m confhub.client.command` is `confhub`."""

from confhub.client.command.main import main

main()
