"""The database itself refuses to change or remove an entry of the audit. The one change that it lets
pass is the chaining: an entry without a position gets its position and digest, and nothing else."""

from django.db import migrations

SENTENCE = "the audit is append-only"
KEPT = ("id", "at", "actor", "action", "target", "data", "request_id")

# IS and IS NOT DISTINCT FROM, because `=` answers NULL for NULL and would let a change pass.
SQLITE = (
    f"""
CREATE TRIGGER audit_rows_never_change BEFORE UPDATE ON events_auditentry
WHEN NOT (OLD.position IS NULL AND NEW.position IS NOT NULL
  AND {" AND ".join(f"OLD.{name} IS NEW.{name}" for name in KEPT)})
BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END
""",
    f"""
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON events_auditentry
BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END
""",
)
POSTGRESQL = (
    f"""
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$
""",
    f"""
CREATE TRIGGER audit_rows_never_change BEFORE UPDATE ON events_auditentry FOR EACH ROW
WHEN (NOT (OLD.position IS NULL AND NEW.position IS NOT NULL
  AND {" AND ".join(f"OLD.{name} IS NOT DISTINCT FROM NEW.{name}" for name in KEPT)}))
EXECUTE FUNCTION refuse_audit_change()
""",
    """
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON events_auditentry
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()
""",
)
TRIGGERS = ("audit_rows_never_change", "audit_rows_stay")


def refuse(apps, schema_editor):
    statements = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
    for statement in statements.get(schema_editor.connection.vendor, ()):
        schema_editor.execute(statement)


def allow(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor not in ("sqlite", "postgresql"):
        return
    on = " ON events_auditentry" if vendor == "postgresql" else ""
    for trigger in TRIGGERS:
        schema_editor.execute(f"DROP TRIGGER {trigger}{on}")
    if vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION refuse_audit_change()")


class Migration(migrations.Migration):
    dependencies = [("events", "0003_audit_chain")]
    operations = [migrations.RunPython(refuse, allow)]
