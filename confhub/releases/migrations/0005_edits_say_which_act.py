"""An edit says what kind of act it was: undo takes back some, and stops at others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("releases", "0004_layer_releases_never_change")]

    operations = [
        migrations.AddField(
            model_name="draftedit",
            name="act",
            field=models.CharField(default="edit", max_length=12),
        ),
    ]
