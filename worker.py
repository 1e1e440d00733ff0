"""The process that executes runs: `python worker.py --app package.module:attribute`."""

from kern.client.serving.worker import main

if __name__ == "__main__":
    main()
