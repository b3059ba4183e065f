import os

wsgi_app = "run:app"
worker_class = "gthread"
workers = 2 * (os.cpu_count() or 1) + 1
threads = 4
timeout = 30
graceful_timeout = 30
worker_tmp_dir = "/dev/shm"
forwarded_allow_ips = "*"
control_socket_disable = True
