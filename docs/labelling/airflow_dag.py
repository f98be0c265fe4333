"""Every night at half past two: labels the files of the day with a job of a session cluster."""

import subprocess

import pendulum
from airflow.decorators import dag, task
from airflow.exceptions import AirflowException, AirflowFailException

COMMAND = [
    "flink", "run", "-m", "flink-jobmanager:8081", "-c", "io.llamafu.flink.label.LabelJob",
    "/opt/flink/lib/flink-llamafu-connector-0.2.0-SNAPSHOT.jar", "--config", "/etc/llamafu/label.properties",
]


@dag(
    schedule="30 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # one run at a time on an output
    default_args={"retries": 3},  # a killed run goes on where it was
)
def llamafu_label():
    @task
    def label():
        code = subprocess.run(COMMAND).returncode
        if code == 1:  # it ended by itself, and would end the same way
            raise AirflowFailException("Some rows have an error, or the job failed; see the log.")
        if code != 0:
            raise AirflowException(f"flink run ended with the exit code {code}.")

    label()


llamafu_label()
