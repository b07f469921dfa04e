"""Columns that may be null, because any other makes SQLite's table anew, without its trigger."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("releases", "0005_edits_say_which_act"),
    ]

    operations = [
        migrations.AddField(
            model_name="release",
            name="annotations",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="release",
            name="image",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="release",
            name="request_id",
            field=models.CharField(max_length=100, null=True),
        ),
    ]
