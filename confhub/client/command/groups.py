"""A group whose name alone lists what there is."""

import click


class Listing(click.Group):
    """`confhub services` is `confhub services list`, also with its options behind it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        helps = self.get_help_option_names(ctx)
        if not args or (args[0].startswith("-") and args[0] not in helps):
            args = ["list", *args]
        return super().parse_args(ctx, args)
