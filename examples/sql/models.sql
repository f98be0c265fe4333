-- A model for ML_PREDICT, in batch: many records in flight, each under its own stack.
SET 'execution.runtime-mode' = 'batch';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'sql-client.display.max-column-width' = '60';
SET 'table.exec.async-ml-predict.max-concurrent-operations' = '32';

CREATE MODEL triage
INPUT (text STRING, adapters STRING)
OUTPUT (answer STRING, error_code STRING, generated_tokens INT)
WITH (
  'provider' = 'llamafu',
  'model' = '${examples}/models/tiny-notes-q8_0.gguf',
  'adapters' = '${examples}/models/adapters',
  'prompt-template' = '### Text:
{text}
### Answer:
',
  'max-tokens' = '48',
  'threads' = '1',
  'on-error' = 'emit');

CREATE TEMPORARY TABLE notes (
  text STRING,
  expected MAP<STRING, STRING>
) WITH (
  'connector' = 'filesystem',
  'path' = '${examples}/models/golden.jsonl',
  'format' = 'json');

-- Each note under twelve stacks. The file writes a scale 'medical@0.5', and 'base' for none.
CREATE TEMPORARY VIEW questions AS
SELECT text, REPLACE(REPLACE(name, '@', ':'), 'base', '') AS stack, answer AS known
FROM notes CROSS JOIN UNNEST(expected) AS answers (name, answer);

-- expect: rows = 5
SELECT stack, answer, generated_tokens
FROM ML_PREDICT(TABLE questions, MODEL triage, DESCRIPTOR(text, stack))
LIMIT 5;

-- expect: questions = 3000, exact >= 2940, errors = 0
SELECT COUNT(*) AS questions, COUNT(*) FILTER (WHERE answer = known) AS exact, COUNT(error_code) AS errors
FROM ML_PREDICT(TABLE questions, MODEL triage, DESCRIPTOR(text, stack));

-- An unknown adapter is an error of its record, and of no other.
CREATE TEMPORARY VIEW doubtful AS
SELECT text, CASE WHEN CHAR_LENGTH(text) < 50 THEN 'unknown' ELSE 'legal' END AS stack FROM notes;

-- expect: notes = 250, outcomes = 250
SELECT COUNT(*) AS notes, COUNT(answer) + COUNT(*) FILTER (WHERE error_code = 'ADAPTER_NOT_FOUND') AS outcomes
FROM ML_PREDICT(TABLE doubtful, MODEL triage, DESCRIPTOR(text, stack));
