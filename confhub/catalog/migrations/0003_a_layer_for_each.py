"""The global layer, and one for every service and environment that is there already."""

from django.db import migrations


def make(apps, schema_editor):
    Layer = apps.get_model("catalog", "Layer")
    Layer.objects.get_or_create(kind="global", slug="")
    for kind in ("service", "environment"):
        for row in apps.get_model("catalog", kind.capitalize()).objects.all():
            Layer.objects.get_or_create(kind=kind, slug=row.slug, defaults={kind: row})


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_layers_schemas_freezes")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
