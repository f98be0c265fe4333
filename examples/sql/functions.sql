-- The functions of the module, in batch, on the notes that the model was trained to answer.
SET 'execution.runtime-mode' = 'batch';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'sql-client.display.max-column-width' = '60';

LOAD MODULE llamafu WITH (
  'model' = '${examples}/models/tiny-notes-q8_0.gguf',
  'adapters' = '${examples}/models/adapters',
  'prompt-template' = '### Text:
{text}
### Answer:
',
  'max-tokens' = '48',
  'threads' = '1');

CREATE TEMPORARY TABLE notes (
  text STRING,
  expected MAP<STRING, STRING>
) WITH (
  'connector' = 'filesystem',
  'path' = '${examples}/models/golden.jsonl',
  'format' = 'json');

-- The same text under several stacks.
-- expect: rows = 3
SELECT LLM_COMPLETE(text) AS base, LLM_COMPLETE(text, 'medical') AS medical, LLM_COMPLETE(text, 'medical+formal') AS formal
FROM notes
LIMIT 3;

-- How many of the answers are exactly the known ones.
-- expect: notes = 250, exact >= 243
SELECT COUNT(*) AS notes, COUNT(*) FILTER (WHERE answer = known) AS exact
FROM (SELECT LLM_COMPLETE(text, 'medical') AS answer, expected['medical'] AS known FROM notes);

-- A label is always one of those asked for. The scale of the adapter is a column.
-- expect: notes = 250, labelled = 250
SELECT COUNT(*) AS notes, COUNT(*) FILTER (WHERE label IN ('health', 'law', 'money', 'other')) AS labelled
FROM (
  SELECT LLM_CLASSIFY(text, ARRAY['health', 'law', 'money', 'other'], 'formal:' || CAST(MOD(CHAR_LENGTH(text), 2) AS STRING)) AS label
  FROM notes);

-- JSON of a schema can be taken apart.
-- expect: notes = 250, complete = 250
SELECT COUNT(*) AS notes, COUNT(*) FILTER (WHERE JSON_VALUE(json, '$.urgent') IN ('true', 'false')) AS complete
FROM (
  SELECT LLM_EXTRACT(text, '{
      "type": "object",
      "properties": {"topic": {"enum": ["health", "law", "money"]}, "urgent": {"type": "boolean"}},
      "required": ["topic", "urgent"],
      "additionalProperties": false
    }', 'medical') AS json
  FROM notes);

-- An error becomes part of the row.
-- expect: rows = 1
SELECT outcome.answer, outcome.error_code, outcome.error
FROM (SELECT LLM_TRY_COMPLETE('A note', 'unknown') AS outcome);

-- Tokens can be counted before they are spent, and options set for a call.
-- expect: rows = 1, fitting = 1
SELECT COUNT(*) FILTER (WHERE tokens <= 3) AS fitting, SUM(LLM_TOKENS(short)) AS prompt_tokens
FROM (
  SELECT text AS short, LLM_TRY_COMPLETE(text, 'legal', MAP['max-tokens', '3']).generated_tokens AS tokens
  FROM notes
  LIMIT 1);

-- expect: rows = 4
SELECT name, `rank`, parameters, resident FROM LATERAL TABLE(LLM_ADAPTERS()) ORDER BY name;

-- Functions without the module: their options are job parameters, and a profile of them is another model.
SET 'pipeline.global-job-parameters' =
  'llamafu.model:${examples}/models/tiny-notes-q8_0.gguf,llamafu.profile.curt.model:${examples}/models/tiny-notes-q8_0.gguf,llamafu.profile.curt.max-tokens:1';

CREATE TEMPORARY FUNCTION try_ask AS 'io.llamafu.flink.table.LlmTryComplete';

-- expect: tokens = 1
SELECT try_ask('A note', '', MAP['profile', 'curt']).generated_tokens AS tokens;
