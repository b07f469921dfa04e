"""On PostgreSQL new events ring by themselves: their commit notifies whoever fans them out."""

from django.db import migrations

CREATE = (
    """
CREATE FUNCTION ring_for_events() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('confhub_events', ''); RETURN NULL; END $$
""",
    """
CREATE TRIGGER new_events_ring AFTER INSERT ON events_event
FOR EACH STATEMENT EXECUTE FUNCTION ring_for_events()
""",
)
DROP = ("DROP TRIGGER new_events_ring ON events_event", "DROP FUNCTION ring_for_events()")


def ring(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in CREATE:
            schema_editor.execute(statement)


def be_silent(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in DROP:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]
    operations = [migrations.RunPython(ring, be_silent)]
