"""The commands that set a release up, such as migrations."""

import pytest
from support.detection import FLASK, Detect

MIGRATIONS = {"migrations/env.py": "", "migrations/versions/1.py": "", "requirements.txt": "flask\nflask-migrate\n"}


UPGRADE = "flask --app app db upgrade"


# Start scripts, with the set-up commands and with what is left to the user.
STEPS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "a deploy command in a loop": (
        {
            "boot.sh": '#!/bin/sh\nwhile true; do\n    flask deploy\n    if [[ "$?" == "0" ]]; then\n        break\n    fi\n    sleep 5\ndone\n'
            "exec gunicorn -b :5000 app:app\n",
        },
        [UPGRADE, "flask --app app deploy"],
        [],
    ),
    "initial data": (
        {
            "start.sh": "#!/bin/sh\nset -e\nuntil nc -z db 3306; do sleep 1; done\npython wait_for_db.py\nflask db upgrade\n"
            "python initial_data.py\nflask translate compile\nmkdir -p x\ngunicorn app:app\nflask after\n",
            "initial_data.py": "",
            "wait_for_db.py": "",
        },
        [UPGRADE, "python initial_data.py"],
        [],
    ),
    "a shell in a Compose file": (
        {
            "compose.yaml": 'services:\n  web:\n    build: .\n    command: sh -c "flask db upgrade && flask seed && gunicorn app:app"\n'
        },
        [UPGRADE, "flask --app app seed"],
        [],
    ),
    "a shell in a Dockerfile": (
        {"Dockerfile": 'FROM python\nCMD ["sh", "-c", "flask seed && flask db upgrade && exec gunicorn app:app"]\n'},
        ["flask --app app seed", UPGRADE],
        [],
    ),
    "an entry point that runs the image's command": (
        {
            "docker-entrypoint.sh": '#!/bin/sh\n. ./migrate.sh\nexec "$@"\n',
            "migrate.sh": "#!/bin/sh\nflask db upgrade && flask roles sync\n",
            "Dockerfile": 'FROM python\nENTRYPOINT ["./docker-entrypoint.sh"]\nCMD ["gunicorn", "app:app"]\n',
        },
        [UPGRADE, "flask --app app roles sync"],
        [],
    ),
    "functions and branches": (
        {
            "entrypoint.sh": "#!/bin/bash\nmigrate() {\n  flask db upgrade\n  flask seed\n}\nserver()\n{\n  migrate\n  exec gunicorn app:app\n}\n"
            'case "$1" in\n  worker)\n    flask purge\n    exec celery -A app worker ;;\n  *) server ;;\nesac\n',
        },
        [UPGRADE, "flask --app app seed"],
        [],
    ),
    "conditions": (
        {
            "start.sh": '#!/bin/sh\nif [ -n "$SEED" ]; then\n  flask seed\nelse\n  echo no\nfi\n[ "$ROLES" = 1 ] && flask roles\n'
            'flask db upgrade || flask repair\nflask create-admin "$EMAIL"\ngunicorn app:app\n',
        },
        [UPGRADE],
        [
            "start.sh:3: 'flask --app app seed' runs before the server on a condition. If this site needs it, add it to app_setup_commands.",
            "start.sh:7: 'flask --app app roles' runs",
            "start.sh:8: 'flask --app app repair' runs",
            "start.sh:9: 'sh -c 'flask --app app create-admin",
        ],
    ),
    "deletes data": (
        {
            "start.sh": "#!/bin/sh\nflask db upgrade\nflask reset-demo\npython init_db.py\npython tables.py\ngunicorn app:app\n",
            "init_db.py": "db.create_all()\n",
            "tables.py": "db.drop_all()\ndb.create_all()\n",
        },
        [UPGRADE, "python init_db.py"],
        [
            "start.sh:3: 'flask --app app reset-demo' runs before the server and may delete data, by its name. If it is safe to repeat, "
            "add it to app_setup_commands; else run it once, after the first deploy: sudo /opt/outport/run /srv/NAME flask --app app reset-demo",
            "start.sh:5: 'python tables.py' runs before the server and may delete data",
        ],
    ),
    "a program of the app": (
        {
            "pyproject.toml": "[project]\nname='a'\nversion='1'\ndependencies=['flask-migrate']\n[project.scripts]\nshop = 'app:main'\n",
            "requirements.txt": "flask\nflask-migrate\n",
            "Procfile": "web: shop sync && gunicorn app:app\n",
        },
        [UPGRADE, "shop sync"],
        [],
    ),
    "another service of the repository": (
        {
            "jobs/start.sh": "#!/bin/sh\nflask jobs\ngunicorn app:app\n",
            "jobs/requirements.txt": "flask\n",
        },
        [UPGRADE],
        [],
    ),
}


@pytest.mark.parametrize("shape", STEPS)
def test_the_steps_of_a_start_are_set_up_commands(detect: Detect, shape: str) -> None:
    files, commands, notes = STEPS[shape]
    report = detect({"app.py": FLASK, **MIGRATIONS, **files})
    assert report.get("app_setup_commands") == commands
    left = [note for note in report.notes if "before the server" in note]
    assert [note[: len(start)] for note, start in zip(left, notes, strict=True)] == notes


def test_a_script_in_a_directory_gets_the_import_path_of_the_image(detect: Detect) -> None:
    report = detect(
        {
            "app.py": FLASK,
            "scripts/seed.py": "import app\n",
            "requirements.txt": "flask\n",
            "Dockerfile": "FROM python\nWORKDIR /srv\nENV PYTHONPATH=/srv\nCMD python scripts/seed.py && gunicorn app:app\n",
        }
    )
    assert report.get("app_setup_commands") == ["python scripts/seed.py"]
    assert report.get("app_environment") == {"PYTHONPATH": "."}


def test_migrations_that_are_not_in_git_are_left_to_the_user(detect: Detect) -> None:
    start = "#!/bin/sh\nflask db init\nflask db migrate\nflask db upgrade\ngunicorn app:app\n"
    report = detect({"app.py": FLASK, "requirements.txt": "flask\nflask-migrate\n", "start.sh": start})
    assert report.get("app_setup_commands") is None
    assert [
        note
        for note in report.notes
        if note.startswith("start.sh:4: 'flask db upgrade' runs before the server, and no")
    ]


def test_here_documents_of_a_dockerfile_are_read(detect: Detect) -> None:
    dockerfile = (
        "FROM python:3.13\nRUN <<EOF\nset -e\npip install PyMySQL  # the driver\nEOF\nRUN <<PY python3\nprint('gunicorn wrong:app')\nPY\n"
        "RUN <<EOF\n#!/usr/bin/env python3\nimport os\nEOF\n"
        'COPY <<-"EOT" /start.sh\n\t#!/bin/sh\n\tflask db upgrade\n\texec gunicorn app:app -k gevent\n\tEOT\nCMD ["/start.sh"]\n'
    )
    report = detect({"app.py": FLASK, "other.py": FLASK, **MIGRATIONS, "Dockerfile": dockerfile})
    assert report.get("app_entry") == "app:app"
    assert str(report.findings["app_entry"]) == "Dockerfile:16: gunicorn runs app:app"
    assert report.get("gunicorn_worker_class") == "gevent"
    assert report.get("app_extra_requirements") == ["gunicorn[gevent]", "PyMySQL"]
    assert report.get("app_setup_commands") == [UPGRADE]


def test_a_script_that_a_dockerfile_writes_is_read(detect: Detect) -> None:
    dockerfile = (
        "FROM python\nRUN cat > /start.sh <<'EOF'\n#!/bin/sh\ngunicorn other:app\nEOF\nRUN <<EOF\nnever closed\n"
    )
    report = detect({"app.py": FLASK, "other.py": FLASK, "requirements.txt": "flask\n", "Dockerfile": dockerfile})
    assert report.get("app_entry") == "other:app"
