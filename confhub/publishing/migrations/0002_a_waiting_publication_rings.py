"""On PostgreSQL the outbox rings by itself: a committed publication that waits notifies its listeners."""

from django.db import migrations

CREATE = (
    """
CREATE FUNCTION ring_for_publication() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('confhub_outbox', ''); RETURN NULL; END $$
""",
    """
CREATE TRIGGER waiting_publication_rings AFTER INSERT OR UPDATE OF state ON publishing_publication
FOR EACH ROW WHEN (NEW.state = 'waiting') EXECUTE FUNCTION ring_for_publication()
""",
)
DROP = (
    "DROP TRIGGER waiting_publication_rings ON publishing_publication",
    "DROP FUNCTION ring_for_publication()",
)


def ring(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in CREATE:
            schema_editor.execute(statement)


def be_silent(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in DROP:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("publishing", "0001_initial")]
    operations = [migrations.RunPython(ring, be_silent)]
