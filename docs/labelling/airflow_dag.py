"""Every night at half past two: labels the files of the day with a job of a session cluster."""

import pendulum
from airflow.decorators import dag
from airflow.operators.bash import BashOperator


@dag(
    schedule="30 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # one run at a time on an output
    default_args={"retries": 3},  # a killed run goes on where it was
)
def llamafu_label():
    BashOperator(
        task_id="label",
        bash_command="flink run -m flink-jobmanager:8081 -c io.llamafu.flink.label.LabelJob"
        " /opt/flink/lib/flink-llamafu-connector.jar --config /etc/llamafu/label.properties",
    )


llamafu_label()
