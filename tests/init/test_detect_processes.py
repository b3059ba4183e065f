"""The processes besides the web service, and the workers of that."""

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


def test_services_of_compose_are_found(detect: Detect) -> None:
    services = (
        "services:\n  web: {build: ., command: gunicorn app:app}\n  jobs: {build: ., command: [rq, worker, jobs]}\n"
        "  db: {image: 'mysql:8', command: mysqld}\n  assets: {build: ., command: npm run watch}\n"
    )
    report = detect({"app.py": FLASK, "requirements.txt": "flask\nrq\n", "docker-compose.yml": services})
    assert report.get("app_processes") == {"jobs": "rq worker jobs"}
