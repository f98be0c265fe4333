-- Streaming: a table of routes, joined to the tickets in event time, says which stack answers each ticket.
SET 'execution.runtime-mode' = 'streaming';
SET 'execution.checkpointing.interval' = '1 s';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'table.dml-sync' = 'true';
SET 'table.exec.async-ml-predict.max-concurrent-operations' = '32';

CREATE TEMPORARY TABLE tickets (
  id STRING,
  tenant STRING,
  eventTime BIGINT,
  text STRING,
  expectedStack STRING,
  expected STRING,
  ticket_time AS TO_TIMESTAMP_LTZ(eventTime, 3),
  WATERMARK FOR ticket_time AS ticket_time - INTERVAL '2' SECOND
) WITH (
  'connector' = 'filesystem',
  'path' = '${examples}/data/tickets.jsonl',
  'format' = 'json');

CREATE TEMPORARY TABLE route_changes (
  tenant STRING,
  eventTime BIGINT,
  stack STRING,
  route_time AS TO_TIMESTAMP_LTZ(eventTime, 3),
  WATERMARK FOR route_time AS route_time
) WITH (
  'connector' = 'filesystem',
  'path' = '${examples}/data/routes.jsonl',
  'format' = 'json');

-- The route of each tenant, by time.
CREATE TEMPORARY VIEW routes AS
SELECT tenant, stack, route_time
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY tenant ORDER BY route_time DESC) AS age
  FROM route_changes)
WHERE age = 1;

CREATE TEMPORARY VIEW routed AS
SELECT t.id, t.text, COALESCE(r.stack, '') AS stack, t.expectedStack, t.expected
FROM tickets AS t
LEFT JOIN routes FOR SYSTEM_TIME AS OF t.ticket_time AS r ON t.tenant = r.tenant;

CREATE MODEL triage
INPUT (text STRING, adapters STRING)
OUTPUT (answer STRING)
WITH (
  'provider' = 'llamafu',
  'model' = '${examples}/models/tiny-notes-q8_0.gguf',
  'adapters' = '${examples}/models/adapters',
  'prompt-template' = '### Text:
{text}
### Answer:
',
  'max-tokens' = '48',
  'threads' = '1');

CREATE TEMPORARY TABLE answers (
  id STRING,
  stack STRING,
  expectedStack STRING,
  answer STRING,
  expected STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '${out}/answers',
  'format' = 'json');

INSERT INTO answers
SELECT id, stack, expectedStack, answer, expected
FROM ML_PREDICT(TABLE routed, MODEL triage, DESCRIPTOR(text, stack));

-- What was written, read in batch.
SET 'execution.runtime-mode' = 'batch';

-- expect: rows = 5
SELECT id, stack, answer FROM answers ORDER BY id LIMIT 5;

-- expect: tickets = 2000, routed = 2000, exact >= 1940
SELECT COUNT(DISTINCT id) AS tickets,
  COUNT(*) FILTER (WHERE stack = expectedStack) AS routed,
  COUNT(*) FILTER (WHERE answer = expected) AS exact
FROM answers;
