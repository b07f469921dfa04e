"""The database refuses to change a layer's release as well; and a scope's again, because adding a
column made SQLite's table anew, without its trigger."""

from django.db import migrations

SENTENCE = "releases are never changed: publish a new one"
TABLES = {
    "release_rows_never_change": "releases_release",
    "layer_release_rows_never_change": "releases_layerrelease",
}


def refuse(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for trigger, table in TABLES.items():
        if vendor == "sqlite":
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            schema_editor.execute(
                f"CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
            )
        elif vendor == "postgresql":
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {table}")
            schema_editor.execute(
                f"CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_release_change()"
            )


def allow(apps, schema_editor):
    on = " ON releases_layerrelease" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER IF EXISTS layer_release_rows_never_change{on}")


class Migration(migrations.Migration):
    dependencies = [("releases", "0003_layers_secrets_texts")]
    operations = [migrations.RunPython(refuse, allow)]
