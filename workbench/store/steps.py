"""The operational schema as append-only steps: a step, once released, never changes.

Instants are TIMESTAMP in UTC and end in `_at`; JSON stands in VARCHAR. No table has a
primary key or an index: rows are only ever appended, and an index would slow that.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from workbench.errors import StoreError

STEP_1 = """
CREATE TABLE tasks (
    task_id VARCHAR NOT NULL, model VARCHAR NOT NULL, model_version VARCHAR NOT NULL,
    pure BOOLEAN NOT NULL, parameters VARCHAR NOT NULL, input_url VARCHAR,
    inline_input VARCHAR, priority INTEGER, timeout_ms BIGINT, use_cache BOOLEAN,
    return_logs BOOLEAN, content_hash VARCHAR NOT NULL, submitted_at TIMESTAMP NOT NULL
);
CREATE TABLE task_events (
    task_id VARCHAR NOT NULL, seq BIGINT NOT NULL, attempt INTEGER NOT NULL,
    kind VARCHAR NOT NULL, body VARCHAR, recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE task_logs (
    task_id VARCHAR NOT NULL, seq BIGINT NOT NULL, attempt INTEGER NOT NULL, level VARCHAR,
    content VARCHAR NOT NULL, template VARCHAR, template_values VARCHAR,
    logged_at TIMESTAMP NOT NULL
);
CREATE TABLE side_files (
    alias VARCHAR NOT NULL, folder VARCHAR NOT NULL, path VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL, bytes BIGINT NOT NULL, tables VARCHAR NOT NULL,
    task_id VARCHAR, model VARCHAR, batch VARCHAR, created_at TIMESTAMP NOT NULL
);
CREATE TABLE metrics (metric VARCHAR NOT NULL, value DOUBLE, taken_at TIMESTAMP NOT NULL);
CREATE TABLE audit (action VARCHAR NOT NULL, detail VARCHAR, recorded_at TIMESTAMP NOT NULL);

CREATE VIEW batches AS SELECT * FROM side_files WHERE folder = 'batches';

CREATE VIEW task_history AS
WITH seen AS (
    SELECT task_id,
        max(attempt) AS attempts,
        arg_max(kind, seq) AS newest,
        max(recorded_at) FILTER (kind = 'running') AS started_at,
        arg_max(kind, seq) FILTER (kind IN
            ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')) AS ended,
        arg_max(body, seq) FILTER (kind IN
            ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')) AS ending,
        max(recorded_at) FILTER (kind IN
            ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')) AS finished_at
    FROM task_events GROUP BY task_id
), kept AS (
    SELECT task_id, arg_max(alias, created_at) AS alias FROM side_files GROUP BY task_id
)
SELECT task_id, model, model_version,
    CASE WHEN coalesce(ended, newest, 'accepted') = 'accepted' THEN 'queued'
         ELSE coalesce(ended, newest) END AS state,
    coalesce(attempts, 1) AS attempts,
    submitted_at, started_at, finished_at,
    epoch_us(finished_at - started_at) / 1e6 AS duration_s,
    CASE WHEN ended <> 'done' THEN json_extract_string(ending, '$.error') END AS error,
    parameters, input_url,
    coalesce(json_extract_string(ending, '$.result.alias'), kept.alias) AS alias
FROM tasks LEFT JOIN seen USING (task_id) LEFT JOIN kept USING (task_id);

-- 128-bit amounts stand in two UBIGINT columns: sum(UHUGEINT) is silently a DOUBLE
CREATE MACRO amount(high, low) AS
    high::UHUGEINT * 18446744073709551616::UHUGEINT + low::UHUGEINT;
CREATE MACRO amount_sum(high, low) AS
    sum(high)::UHUGEINT * 18446744073709551616::UHUGEINT + sum(low)::UHUGEINT;
"""

# An acceptance is its row in tasks: written twice, it took twice as long to become durable.
STEP_2 = "DELETE FROM task_events WHERE kind = 'accepted'"

# Conversations: each entry holds a whole state, and the newest counts. An answer under way
# is its pieces; its whole text is written once, at its end.
STEP_3 = """
CREATE TABLE conversation_entries (
    conversation_id BIGINT NOT NULL, revision INTEGER NOT NULL, title VARCHAR NOT NULL,
    model VARCHAR, system VARCHAR NOT NULL, parameters VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL, recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE message_entries (
    message_id BIGINT NOT NULL, revision INTEGER NOT NULL, conversation_id BIGINT NOT NULL,
    role VARCHAR NOT NULL, content VARCHAR NOT NULL, reasoning VARCHAR NOT NULL,
    status VARCHAR NOT NULL, model VARCHAR, backend VARCHAR, parameters VARCHAR,
    tool_calls VARCHAR, attachments VARCHAR, images VARCHAR,
    prompt_tokens BIGINT, completion_tokens BIGINT, ttft_ms DOUBLE, tokens_per_s DOUBLE,
    elapsed_ms DOUBLE, finish VARCHAR, left_out INTEGER NOT NULL, error VARCHAR,
    created_at TIMESTAMP NOT NULL, recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE message_pieces (
    message_id BIGINT NOT NULL, n INTEGER NOT NULL, content VARCHAR NOT NULL,
    reasoning VARCHAR NOT NULL, recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE message_replacements (message_id BIGINT NOT NULL, replaced_at TIMESTAMP NOT NULL);
CREATE TABLE prompt_entries (
    kind VARCHAR NOT NULL, name VARCHAR NOT NULL, version INTEGER NOT NULL,
    title VARCHAR NOT NULL, content VARCHAR NOT NULL, deleted BOOLEAN NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE model_measurements (
    model VARCHAR NOT NULL, backend VARCHAR NOT NULL, kind VARCHAR NOT NULL, ttft_ms DOUBLE,
    tokens_per_s DOUBLE, memory_bytes BIGINT, detail VARCHAR NOT NULL,
    measured_at TIMESTAMP NOT NULL
);

CREATE VIEW chat_messages AS
WITH newest AS (
    SELECT * FROM message_entries
    QUALIFY row_number() OVER (PARTITION BY message_id ORDER BY revision DESC) = 1
), pieced AS (
    SELECT message_id, string_agg(content, '' ORDER BY n) AS content,
        string_agg(reasoning, '' ORDER BY n) AS reasoning
    FROM message_pieces GROUP BY message_id
), gone AS (
    SELECT message_id, min(replaced_at) AS replaced_at FROM message_replacements GROUP BY message_id
)
SELECT message_id, conversation_id, role,
    CASE WHEN status = 'streaming' AND pieced.message_id IS NOT NULL
        THEN pieced.content ELSE newest.content END AS content,
    CASE WHEN status = 'streaming' AND pieced.message_id IS NOT NULL
        THEN pieced.reasoning ELSE newest.reasoning END AS reasoning,
    status, model, backend, parameters, tool_calls, attachments, images, prompt_tokens,
    completion_tokens, ttft_ms, tokens_per_s, elapsed_ms, finish, left_out, error,
    created_at, replaced_at
FROM newest LEFT JOIN pieced USING (message_id) LEFT JOIN gone USING (message_id);

CREATE VIEW conversations AS
WITH newest AS (
    SELECT * FROM conversation_entries
    QUALIFY row_number() OVER (PARTITION BY conversation_id ORDER BY revision DESC) = 1
), said AS (
    SELECT conversation_id, count(*) AS messages, max(created_at) AS newest_at
    FROM (
        SELECT DISTINCT message_id, conversation_id, created_at FROM message_entries
        WHERE message_id NOT IN (SELECT message_id FROM message_replacements)
    ) GROUP BY conversation_id
)
SELECT conversation_id, title, model, system, parameters, created_at,
    greatest(recorded_at, coalesce(newest_at, recorded_at)) AS updated_at,
    coalesce(messages, 0) AS messages, revision
FROM newest LEFT JOIN said USING (conversation_id);

CREATE VIEW prompts AS
SELECT kind, name, version, title, content, recorded_at AS updated_at FROM prompt_entries
QUALIFY row_number() OVER (PARTITION BY kind, name ORDER BY version DESC, deleted DESC) = 1
    AND NOT deleted;
"""

# Metrics: the table of step 1 was never written. A subject is a GPU, a model, or empty for the
# hub's machine. Roll-ups are written once their minute or hour is over; until then the views
# take what is missing of them from the finer table.
STEP_4 = """
DROP TABLE metrics;
CREATE TABLE metrics (
    metric VARCHAR NOT NULL, subject VARCHAR NOT NULL, value DOUBLE NOT NULL,
    taken_at TIMESTAMP NOT NULL
);
CREATE TABLE metric_minutes (
    metric VARCHAR NOT NULL, subject VARCHAR NOT NULL, low DOUBLE NOT NULL, mean DOUBLE NOT NULL,
    high DOUBLE NOT NULL, samples BIGINT NOT NULL, from_at TIMESTAMP NOT NULL
);
CREATE TABLE metric_hours (
    metric VARCHAR NOT NULL, subject VARCHAR NOT NULL, low DOUBLE NOT NULL, mean DOUBLE NOT NULL,
    high DOUBLE NOT NULL, samples BIGINT NOT NULL, from_at TIMESTAMP NOT NULL
);
CREATE TABLE alert_entries (
    alert_id VARCHAR NOT NULL, state VARCHAR NOT NULL, rule VARCHAR NOT NULL,
    metric VARCHAR NOT NULL, subject VARCHAR NOT NULL, threshold DOUBLE NOT NULL,
    direction VARCHAR NOT NULL, value DOUBLE NOT NULL, worst DOUBLE NOT NULL,
    raised_at TIMESTAMP NOT NULL, cleared_at TIMESTAMP, reason VARCHAR,
    recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE alert_rule_entries (
    name VARCHAR NOT NULL, rule VARCHAR, recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE gpu_lease_entries (
    claim_id VARCHAR NOT NULL, kind VARCHAR NOT NULL, name VARCHAR NOT NULL,
    gpu_id VARCHAR NOT NULL, memory_mb DOUBLE NOT NULL, granted_at TIMESTAMP NOT NULL,
    released_at TIMESTAMP
);

CREATE VIEW metric_by_minute AS
WITH done AS (
    SELECT coalesce(max(from_at) + INTERVAL 1 MINUTE, '-infinity'::TIMESTAMP) AS until_at
    FROM metric_minutes
)
SELECT metric, subject, low, mean, high, samples, from_at FROM metric_minutes
UNION ALL
SELECT metric, subject, min(value), avg(value), max(value), count(*),
    time_bucket(INTERVAL 1 MINUTE, taken_at)
FROM metrics WHERE taken_at >= (SELECT until_at FROM done) GROUP BY ALL;

CREATE VIEW metric_by_hour AS
WITH done AS (
    SELECT coalesce(max(from_at) + INTERVAL 1 HOUR, '-infinity'::TIMESTAMP) AS until_at
    FROM metric_hours
)
SELECT metric, subject, low, mean, high, samples, from_at FROM metric_hours
UNION ALL
SELECT metric, subject, min(low), sum(mean * samples) / sum(samples), max(high), sum(samples),
    time_bucket(INTERVAL 1 HOUR, from_at)
FROM metric_by_minute WHERE from_at >= (SELECT until_at FROM done) GROUP BY ALL;

CREATE VIEW metric_history AS
SELECT metric, subject, 'raw' AS resolution, value AS low, value AS mean, value AS high,
    1 AS samples, taken_at AS from_at FROM metrics
UNION ALL SELECT metric, subject, 'minute', low, mean, high, samples, from_at FROM metric_by_minute
UNION ALL SELECT metric, subject, 'hour', low, mean, high, samples, from_at FROM metric_by_hour;

CREATE VIEW alerts AS
SELECT * EXCLUDE (recorded_at) FROM alert_entries
QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY (state = 'cleared') DESC) = 1;

CREATE VIEW gpu_leases AS
SELECT * FROM gpu_lease_entries QUALIFY row_number() OVER (
    PARTITION BY claim_id, granted_at ORDER BY released_at DESC NULLS LAST
) = 1;
"""

# Own functions: a row each time a version became the newest of its name. Their bytes lie in
# functions/<sha256> in the data folder.
STEP_5 = """
CREATE TABLE function_entries (
    name VARCHAR NOT NULL, version VARCHAR NOT NULL, title VARCHAR NOT NULL,
    description VARCHAR NOT NULL, pure BOOLEAN NOT NULL, gpu_memory_mb INTEGER,
    parameters_schema VARCHAR NOT NULL, batch_kind VARCHAR, needs_batch BOOLEAN NOT NULL,
    source VARCHAR NOT NULL, source_sha256 VARCHAR NOT NULL, sha256 VARCHAR NOT NULL,
    python VARCHAR NOT NULL, cloudpickle VARCHAR NOT NULL, defined_by VARCHAR NOT NULL,
    defined_at TIMESTAMP NOT NULL
);

CREATE VIEW functions AS
SELECT * FROM function_entries
QUALIFY row_number() OVER (PARTITION BY name, version ORDER BY defined_at DESC) = 1;
"""

STEPS: tuple[str, ...] = (STEP_1, STEP_2, STEP_3, STEP_4, STEP_5)


def apply_steps(
    connection: duckdb.DuckDBPyConnection, database: str, steps: Sequence[str] = STEPS
) -> int:
    """Bring `database` (attached and in use) to the newest step; the number now reached.

    Each step commits together with its own record, between two checkpoints.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_steps (step INTEGER NOT NULL, applied_at TIMESTAMP)"
    )
    found = step_of(connection)
    if found > len(steps):
        raise newer(found, len(steps))
    for number, sql in enumerate(steps[found:], start=found + 1):
        connection.execute(f"CHECKPOINT {database}")
        _apply(connection, number, sql)
        connection.execute(f"CHECKPOINT {database}")
    return len(steps)


def newer(found: int, known: int) -> StoreError:
    """The refusal of data that a later version wrote."""
    return StoreError(
        "the data was written by a newer workbench (schema step {found}, this one knows "
        "{known}): update the workbench, or use another data folder",
        found=found,
        known=known,
    )


def step_of(connection: duckdb.DuckDBPyConnection) -> int:
    """The newest step applied, 0 for none."""
    (row,) = connection.execute("SELECT coalesce(max(step), 0) FROM schema_steps").fetchall()
    return int(row[0])


def _apply(connection: duckdb.DuckDBPyConnection, number: int, sql: str) -> None:
    connection.execute("BEGIN")
    try:
        connection.execute(sql)
        connection.execute(
            "INSERT INTO schema_steps VALUES ($1, now() AT TIME ZONE 'UTC')", [number]
        )
        connection.execute("COMMIT")
    except duckdb.Error as error:
        connection.execute("ROLLBACK")
        raise StoreError(
            "schema step {number} failed and nothing was changed: {reason}",
            number=number,
            reason=str(error),
        ) from error
