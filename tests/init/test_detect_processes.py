"""The processes besides the web service, and the workers of that."""

import pytest
from support.detection import FLASK, Detect


def test_processes_of_a_procfile_are_found(detect: Detect) -> None:
    procfile = (
        "web: gunicorn app:app\nrelease: python manage.py seed && flask db upgrade\nworker: poetry run celery -A app worker -c $CONCURRENCY\n"
        "beat: celery -A app beat\nfront: npm start\n"
    )
    report = detect({"app.py": FLASK, "requirements.txt": "flask\ncelery\n", "Procfile": procfile})
    assert report.get("app_processes") == {"worker": "sh -c 'celery -A app worker -c $CONCURRENCY'"}
    assert report.get("app_single_processes") == {"beat": "celery -A app beat"}
    assert report.get("app_setup_commands") == ["python manage.py seed", "flask --app app db upgrade"]


def test_one_worker_stays_one(detect: Detect) -> None:
    report = detect(
        {"app.py": FLASK, "requirements.txt": "flask\n", "Procfile": "web: gunicorn -k eventlet -w 1 app:app\n"}
    )
    assert report.get("gunicorn_workers") == 1
    assert report.get("gunicorn_worker_class") == "eventlet"


# Commands of servers, with the workers and threads that are set.
THREADS: dict[str, tuple[dict[str, str], int | None, int | None]] = {
    "a Procfile": ({"Procfile": "web: gunicorn -w 1 --threads 100 app:app\n"}, 1, 100),
    "a Dockerfile": (
        {"Dockerfile": 'FROM python\nCMD ["gunicorn", "--workers=4", "--threads=8", "app:app"]\n'},
        None,
        8,
    ),
    "a script": ({"start.sh": "#!/bin/sh\nexec gunicorn --threads ${THREADS:-2} app:app\n"}, None, 2),
    "gunicorn's variable": (
        {"Dockerfile": 'FROM python\nENV GUNICORN_CMD_ARGS="-b :80 -w 1 --threads 4"\nCMD ["gunicorn", "app:app"]\n'},
        1,
        4,
    ),
    "gunicorn's variable in front of it": (
        {"Procfile": "web: GUNICORN_CMD_ARGS='--threads=4 -w 1' gunicorn --threads 6 app:app\n"},
        1,
        6,
    ),
    "an app that is not safe for threads": ({"Procfile": "web: gunicorn --threads 1 app:app\n"}, None, 1),
    "waitress": ({"Procfile": "web: waitress-serve --threads 12 --port=$PORT app:app\n"}, None, 12),
    "uwsgi": ({"start.sh": "#!/bin/sh\nuwsgi --http :80 -w app:app -p 1 --threads 6\n"}, 1, 6),
    "gevent": ({"Procfile": "web: gunicorn -k gevent --threads 9 app:app\n"}, None, None),
    "ASGI": ({"Procfile": "web: gunicorn -k uvicorn.workers.UvicornWorker -w 1 --threads 3 app:app\n"}, 1, None),
    "no number": ({"Procfile": "web: gunicorn --threads $THREADS app:app\n"}, None, None),
}


@pytest.mark.parametrize("shape", THREADS)
def test_threads_of_the_server_are_kept(detect: Detect, shape: str) -> None:
    files, workers, threads = THREADS[shape]
    report = detect({"app.py": FLASK, "requirements.txt": "flask\n", **files})
    assert report.get("app_entry") == "app:app"
    assert (report.get("gunicorn_workers"), report.get("gunicorn_threads")) == (workers, threads)


def test_a_factory_that_waitress_calls_is_called(detect: Detect) -> None:
    shop = "from flask import Flask\ndef make():\n    return Flask(__name__)\n"
    report = detect(
        {"shop.py": shop, "requirements.txt": "flask\n", "Procfile": "web: waitress-serve --call shop:make\n"}
    )
    assert report.get("app_entry") == "shop:make()"


SOCKETS = f"from flask_socketio import SocketIO\n{FLASK}socketio = SocketIO(app)\nif __name__ == '__main__':\n    socketio.run(app)\n"
ONE_WORKER = (
    "Flask-SocketIO keeps its clients' sessions in memory, so every request of a client has to reach the same worker"
)


# Apps with Socket.IO: the files, the reason for one worker, the threads and the worker class.
SOCKETIO: dict[str, tuple[dict[str, str], str, int | None, str | None]] = {
    "no command": ({}, f"app.py:5: {ONE_WORKER}", 100, None),
    "its own command": ({"Procfile": "web: python app.py\n"}, f"app.py:5: {ONE_WORKER}", 100, None),
    "a message queue": (
        {"app.py": SOCKETS.replace("SocketIO(app)", "SocketIO(app, message_queue=app.config['REDIS'])")},
        f"app.py:5: {ONE_WORKER}, also with a message queue",
        100,
        None,
    ),
    "no message queue": (
        {"app.py": SOCKETS.replace("SocketIO(app)", "SocketIO(app, message_queue=None)")},
        f"app.py:5: {ONE_WORKER}",
        100,
        None,
    ),
    "several workers": (
        {"Procfile": "web: gunicorn -w 4 app:app\n"},
        f"app.py:5: {ONE_WORKER}, and not one of the 4 that Procfile:1 starts",
        100,
        None,
    ),
    "threads of its own": (
        {"Procfile": "web: gunicorn -w 1 --threads 30 app:app\n"},
        "Procfile:1: the server has one worker, as an app with state in memory needs",
        30,
        None,
    ),
    "gevent by a command": (
        {"Procfile": "web: gunicorn -k gevent -w 2 app:app\n"},
        f"app.py:5: {ONE_WORKER}, and not one of the 2 that Procfile:1 starts",
        None,
        "gevent",
    ),
    "eventlet installed": (
        {"requirements.txt": "flask-socketio\neventlet\n"},
        f"app.py:5: {ONE_WORKER}",
        None,
        "eventlet",
    ),
    "threads in spite of eventlet": (
        {
            "requirements.txt": "flask-socketio\neventlet\n",
            "app.py": SOCKETS.replace("SocketIO(app)", "SocketIO(app, async_mode='threading')"),
        },
        f"app.py:5: {ONE_WORKER}",
        100,
        None,
    ),
    "python-socketio": (
        {
            "app.py": f"import socketio\n{FLASK}sio = socketio.Server()\n",
            "requirements.txt": "flask\npython-socketio\n",
        },
        f"app.py:5: {ONE_WORKER.replace('Flask-SocketIO', 'Socket.IO')}",
        100,
        None,
    ),
    "ASGI": (
        {
            "app.py": "import socketio\nfrom fastapi import FastAPI\napp = FastAPI()\nsio = socketio.AsyncServer()\n",
            "requirements.txt": "fastapi\npython-socketio\n",
        },
        f"app.py:4: {ONE_WORKER.replace('Flask-SocketIO', 'Socket.IO')}",
        None,
        "asgi",
    ),
}


@pytest.mark.parametrize("shape", SOCKETIO)
def test_an_app_with_sessions_in_memory_has_one_worker(detect: Detect, shape: str) -> None:
    files, reason, threads, worker_class = SOCKETIO[shape]
    report = detect({"app.py": SOCKETS, "requirements.txt": "flask-socketio\n", **files})
    assert (report.get("gunicorn_workers"), str(report.findings["gunicorn_workers"])) == (1, reason)
    assert (report.get("gunicorn_threads"), report.get("gunicorn_worker_class")) == (threads, worker_class)


def test_workers_in_the_configuration_of_an_app_with_sessions_in_memory_are_noted(detect: Detect) -> None:
    files = {
        "app.py": SOCKETS,
        "requirements.txt": "flask-socketio\n",
        "gunicorn.conf.py": "bind = ':1'\nworkers = 4\n",
    }
    assert (
        "gunicorn.conf.py:2: 'workers = 4' takes precedence over gunicorn_workers, and Flask-SocketIO needs one worker: write workers = 1."
        in detect(files).notes
    )


def test_a_client_of_socketio_is_no_server(detect: Detect) -> None:
    code = f"import socketio\n{FLASK}client = socketio.Client()\n"
    assert detect({"app.py": code, "requirements.txt": "flask\npython-socketio\n"}).get("gunicorn_workers") is None


# Crontabs: the file and its line, and the note about it.
CRONTABS = {
    "a command": (
        "crontab",
        "0 3 * * * flask digest",
        "cron runs 'flask digest'. Add it to app_timers: {digest: {command: flask --app app digest, calendar: \"*-*-* 3:0:00\"}}",
    ),
    "a directory and a log": (
        "deploy/crontab.txt",
        "*/5 * * * mon cd /srv/shop && /srv/shop/venv/bin/python /srv/shop/jobs/send.py --all >> /var/log/cron.log 2>&1",
        "cron runs 'cd /srv/shop && /srv/shop/venv/bin/python /srv/shop/jobs/send.py --all >> /var/log/cron.log 2>&1'. Add it to app_timers: "
        '{send: {command: python jobs/send.py --all, calendar: "Mon *-*-* *:0/5:00"}}',
    ),
    "a keyword": (
        "shop.cron",
        "@midnight python jobs/send.py",
        "cron runs 'python jobs/send.py'. Add it to app_timers: {send: {command: python jobs/send.py, calendar: daily}}",
    ),
    "a module": (
        "crontab",
        "0 1 * * * python -m jobs.send -q",
        "cron runs 'python -m jobs.send -q'. Add it to app_timers: {send: {command: python -m jobs.send -q, calendar: \"*-*-* 1:0:00\"}}",
    ),
    "a user": (
        "cron.d/shop",
        "0 0 1 * * shopper flask bill",
        "cron runs 'flask bill'. Add it to app_timers: {bill: {command: flask --app app bill, calendar: \"*-*-1 0:0:00\"}}",
    ),
    "two days": (
        "crontab",
        "0 0 1 * 1 flask bill",
        "cron runs 'flask bill' at '0 0 1 * 1'. Add it to app_timers, as two timers, one for the day of the month and one for the weekday.",
    ),
    "a start": (
        "crontab",
        "@reboot flask work",
        "'flask work' is started by cron. If it is a process of the app, add it to app_single_processes.",
    ),
}


@pytest.mark.parametrize("shape", CRONTABS)
def test_what_a_crontab_runs_is_noted(detect: Detect, shape: str) -> None:
    path, line, note = CRONTABS[shape]
    files = {"app.py": FLASK, "jobs/send.py": "", "requirements.txt": "flask\n", path: f"# m h\nMAILTO=root\n{line}\n"}
    assert [note for note in detect(files).notes if note.startswith(path)] == [f"{path}:3: {note}"]


def test_other_files_are_no_crontabs(detect: Detect) -> None:
    files = {"app.py": FLASK, "requirements.txt": "flask\n", "LICENSE": "1 2 3 4 5 flask x\n", "cron.py": "x = 1\n"}
    assert not [note for note in detect(files).notes if "app_timers" in note]


def test_timers_of_a_crontab_have_different_names(detect: Detect) -> None:
    crontab = "0 1 * * * flask digest\n0 2 * * * flask digest\n"
    report = detect({"app.py": FLASK, "requirements.txt": "flask\n", "crontab": crontab})
    notes = [note for note in report.notes if "app_timers" in note]
    assert [name in note for name, note in zip(("{digest: ", "{digest-2: "), notes, strict=True)] == [True, True]


def test_services_of_compose_are_found(detect: Detect) -> None:
    services = (
        "services:\n  web: {build: ., command: gunicorn app:app}\n  jobs: {build: ., command: [rq, worker, jobs]}\n"
        "  db: {image: 'mysql:8', command: mysqld}\n  assets: {build: ., command: npm run watch}\n"
    )
    report = detect({"app.py": FLASK, "requirements.txt": "flask\nrq\n", "docker-compose.yml": services})
    assert report.get("app_processes") == {"jobs": "rq worker jobs"}
