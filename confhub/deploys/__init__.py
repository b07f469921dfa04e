"""Deploy hooks: what CI and registries send becomes a change and a release."""
