"""The database refuses to change a schema's version: what a release was checked against must stay."""

from django.db import migrations

SENTENCE = "versions of a schema are never changed: save a new one"

SQLITE = f"""
CREATE TRIGGER schema_versions_never_change BEFORE UPDATE ON catalog_schemaversion
BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END
"""
POSTGRESQL = (
    f"""
CREATE FUNCTION refuse_schema_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$
""",
    """
CREATE TRIGGER schema_versions_never_change BEFORE UPDATE ON catalog_schemaversion
FOR EACH ROW EXECUTE FUNCTION refuse_schema_change()
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
            schema_editor.execute("DROP TRIGGER schema_versions_never_change")
        case "postgresql":
            schema_editor.execute(
                "DROP TRIGGER schema_versions_never_change ON catalog_schemaversion"
            )
            schema_editor.execute("DROP FUNCTION refuse_schema_change()")


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_a_layer_for_each")]
    operations = [migrations.RunPython(refuse, allow)]
