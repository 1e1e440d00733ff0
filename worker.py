"""The process that executes runs: `python worker.py --app package.module:attribute`."""

from kern.client.worker_process import main

if __name__ == "__main__":
    main()
