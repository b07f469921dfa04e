"""A refusal's sentences at the fields of a form."""

from django import forms

from confhub.core.errors import ConfHubError


def put_errors(form: forms.Form, error: ConfHubError) -> None:
    """Each field's own sentence at the field; the whole one above the form where no field has one."""
    at_fields = {name: text for name, text in error.fields.items() if name in form.fields}
    for name, text in at_fields.items():
        form.add_error(name, text)
    if len(at_fields) != len(error.fields) or not at_fields:
        form.add_error(None, error.detail)
