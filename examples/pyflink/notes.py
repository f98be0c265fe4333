"""Labels notes in a PyFlink Table program: with a function of SQL, and with a model and ML_PREDICT.

    python3 -m venv venv && venv/bin/pip install apache-flink==2.3.0
    PYTHON=venv/bin/python examples/run pyflink

No record passes through Python: it describes the job, and Flink's JVM runs it.
"""

import argparse
import json

from pyflink.table import EnvironmentSettings, TableEnvironment

TEMPLATE = "### Text:\n{text}\n### Answer:\n"

parser = argparse.ArgumentParser()
parser.add_argument("--jar", required=True, help="flink-llamafu-connector-VERSION.jar")
parser.add_argument("--model", required=True)
parser.add_argument("--adapters", required=True)
parser.add_argument("--notes", required=True, help="JSON lines with text and the expected answer of each stack")
arguments = parser.parse_args()

env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
env.execute_sql(f"ADD JAR '{arguments.jar}'")  # where it is not in lib/

options = f"""
    'model' = '{arguments.model}', 'adapters' = '{arguments.adapters}',
    'prompt-template' = '{TEMPLATE}', 'max-tokens' = '48', 'threads' = '1'"""
env.execute_sql(f"LOAD MODULE llamafu WITH ({options})")
env.execute_sql(f"""
    CREATE MODEL triage INPUT (text STRING, adapters STRING) OUTPUT (answer STRING)
    WITH ('provider' = 'llamafu', {options})""")
env.execute_sql(f"""
    CREATE TEMPORARY TABLE notes (text STRING, expected MAP<STRING, STRING>)
    WITH ('connector' = 'filesystem', 'path' = '{arguments.notes}', 'format' = 'json')""")

# A function, for few records.
env.sql_query("SELECT text, LLM_COMPLETE(text, 'medical') AS answer FROM notes LIMIT 3").execute().print()

# A model, for many: each note under the stack that its row names.
env.execute_sql("""
    CREATE TEMPORARY VIEW questions AS
    SELECT text, stack, expected[stack] AS known
    FROM notes CROSS JOIN (VALUES ('medical'), ('formal'), ('medical+formal')) AS stacks (stack)""")
answers = env.sql_query("""
    SELECT answer, known
    FROM ML_PREDICT(TABLE questions, MODEL triage, DESCRIPTOR(text, stack), MAP['max-concurrent-operations', '32'])""")
with answers.execute().collect() as rows:
    outcomes = [(answer, known) for answer, known in rows]

print(json.dumps({"answers": len(outcomes), "exact": sum(answer == known for answer, known in outcomes)}))
