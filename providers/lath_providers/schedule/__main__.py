"""Runs the provider as a process: `python -m lath_providers.schedule`."""

from lath_providers.schedule.provider import Schedule

if __name__ == "__main__":
    Schedule.main()
