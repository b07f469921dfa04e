"""The database itself refuses to change a release: what a number stands for must never move."""

from django.db import migrations

SENTENCE = "releases are never changed: publish a new one"

SQLITE = f"""
CREATE TRIGGER release_rows_never_change BEFORE UPDATE ON releases_release
BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END
"""
POSTGRESQL = (
    f"""
CREATE FUNCTION refuse_release_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$
""",
    """
CREATE TRIGGER release_rows_never_change BEFORE UPDATE ON releases_release
FOR EACH ROW EXECUTE FUNCTION refuse_release_change()
""",
)


def refuse(apps, schema_editor):
    match schema_editor.connection.vendor:
        case "sqlite":
            schema_editor.execute(SQLITE)
        case "postgresql":
            for statement in POSTGRESQL:
                schema_editor.execute(statement)


def allow(apps, schema_editor):
    match schema_editor.connection.vendor:
        case "sqlite":
            schema_editor.execute("DROP TRIGGER release_rows_never_change")
        case "postgresql":
            schema_editor.execute("DROP TRIGGER release_rows_never_change ON releases_release")
            schema_editor.execute("DROP FUNCTION refuse_release_change()")


class Migration(migrations.Migration):
    dependencies = [("releases", "0001_initial")]
    operations = [migrations.RunPython(refuse, allow)]
