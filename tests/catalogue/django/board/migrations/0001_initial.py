"""Create the table of notes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table of notes."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField()),
                ("file", models.FileField(blank=True, upload_to="")),
            ],
        ),
    )
