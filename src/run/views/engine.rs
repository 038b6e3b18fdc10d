//! What differs between the SQL dialects of the views, as data.

use bouncewatch_schemas::table::{COLUMNS, Column, ColumnType};

use crate::cli::SqlDialect;

/// What differs between the dialects. `@P@`, `@PATH@` and `@COLUMNS@` stand for prefix, folder of the events and columns.
pub(super) struct Engine {
    pub(super) name: &'static str,
    /// Whether a test runs the views in this engine.
    pub(super) is_tested: bool,
    /// Lines of the header after the common ones.
    pub(super) notes: &'static str,
    /// Statement before the views.
    pub(super) setup: &'static str,
    /// Statement of the view or table of the stored rows.
    pub(super) raw_events: &'static str,
    pub(super) view: &'static str,
    /// Time of an event in milliseconds.
    pub(super) event_ms: &'static str,
    /// Time of the query in milliseconds.
    pub(super) now_ms: &'static str,
    pub(super) hour: &'static str,
    pub(super) day: &'static str,
    /// Time of `to_ms`.
    pub(super) timestamp: &'static str,
    pub(super) text: &'static str,
    pub(super) double: &'static str,
    /// Rows of tags: message key, key and value.
    pub(super) tags: &'static str,
    /// Quote of names.
    pub(super) quote: &'static str,
    /// Type of a column of the stored rows.
    pub(super) column_type: fn(ColumnType) -> &'static str,
    /// Characters of a string literal that are escaped, with what stands for them.
    pub(super) escapes: &'static [(&'static str, &'static str)],
}

impl Engine {
    /// Returns the engine of a dialect.
    pub(super) const fn of(dialect: SqlDialect) -> &'static Self {
        match dialect {
            SqlDialect::Duckdb => &DUCKDB,
            SqlDialect::Spark => &SPARK,
            SqlDialect::Datafusion => &DATAFUSION,
            SqlDialect::Athena => &ATHENA,
            SqlDialect::Trino => &TRINO,
            SqlDialect::Bigquery => &BIGQUERY,
        }
    }

    /// Escapes a text for a string literal.
    pub(super) fn escaped(&self, text: &str) -> String {
        self.escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// Names and types of the columns of the stored rows.
    pub(super) fn typed_columns(&self) -> String {
        let typed =
            |column: &Column| format!("{} {}", column.name, (self.column_type)(column.column_type));
        COLUMNS.iter().map(typed).collect::<Vec<_>>().join(",\n  ")
    }
}

/// Most engines read the types of columns from the files.
const fn no_type(_: ColumnType) -> &'static str {
    ""
}

const QUOTES: &[(&str, &str)] = &[("'", "''")];
// before version 4 of Spark, two quotes are the end of one literal and the start of another
const BACKSLASHES: &[(&str, &str)] = &[("\\", r"\\"), ("'", r"\'")];

const DUCKDB: Engine = Engine {
    name: "DuckDB",
    is_tested: true,
    notes: "",
    setup: "SET TimeZone = 'UTC';\n",
    raw_events: "CREATE OR REPLACE VIEW @P@raw_events AS\nSELECT @COLUMNS@\nFROM read_parquet('@PATH@/*/*.parquet', union_by_name = true, hive_partitioning = false);",
    view: "VIEW",
    event_ms: "epoch_ms(event_at)",
    now_ms: "epoch_ms(current_timestamp)",
    hour: "date_trunc('hour', event_at)",
    day: "date_trunc('day', event_at)",
    timestamp: "make_timestamptz(to_ms * 1000)",
    text: "VARCHAR",
    double: "DOUBLE",
    tags: "SELECT DISTINCT message_key, tag.key AS key, tag.value AS value\nFROM (SELECT message_key, unnest(tags) AS tag FROM @P@raw_events)",
    quote: "\"",
    column_type: no_type,
    escapes: QUOTES,
};

const SPARK: Engine = Engine {
    name: "Spark",
    setup: "SET TIME ZONE 'UTC';\n",
    raw_events: "CREATE OR REPLACE TEMPORARY VIEW @P@raw_events USING parquet\nOPTIONS (path '@PATH@', mergeSchema 'true');",
    view: "TEMPORARY VIEW",
    event_ms: "unix_millis(event_at)",
    now_ms: "unix_millis(current_timestamp)",
    timestamp: "timestamp_millis(to_ms)",
    text: "STRING",
    tags: "SELECT DISTINCT message_key, tag.key AS key, tag.value AS value\nFROM (SELECT message_key, explode(tags) AS tag FROM @P@raw_events)",
    quote: "`",
    escapes: BACKSLASHES,
    ..DUCKDB
};

const DATAFUSION: Engine = Engine {
    name: "DataFusion",
    setup: "SET datafusion.execution.time_zone = '+00:00';\n",
    raw_events: "CREATE EXTERNAL TABLE IF NOT EXISTS @P@raw_events STORED AS PARQUET LOCATION '@PATH@/';",
    event_ms: "CAST(CAST(event_at AS TIMESTAMP(3)) AS BIGINT)",
    now_ms: "CAST(CAST(now() AS TIMESTAMP(3)) AS BIGINT)",
    timestamp: "to_timestamp_millis(to_ms)",
    tags: "SELECT DISTINCT message_key, tag['key'] AS key, tag['value'] AS value\nFROM (SELECT message_key, unnest(tags) AS tag FROM @P@raw_events)",
    ..DUCKDB
};

const TRINO: Engine = Engine {
    name: "Trino (Hive connector)",
    is_tested: false,
    setup: "",
    raw_events: "\
CREATE TABLE IF NOT EXISTS @P@raw_events (
  @TYPED_COLUMNS@,
  date varchar
)
WITH (
  external_location = '@PATH@/', format = 'PARQUET', partitioned_by = ARRAY['date']
);
-- Run after new days: CALL system.sync_partition_metadata('SCHEMA', '@P@raw_events', 'FULL');
-- Compact a store with segments of format version 1 first: their keys are unsigned.",
    event_ms: "date_diff('millisecond', TIMESTAMP '1970-01-01 00:00:00', event_at)",
    now_ms: "CAST(to_unixtime(current_timestamp) * 1e3 AS BIGINT)",
    timestamp: "date_add('millisecond', to_ms, TIMESTAMP '1970-01-01 00:00:00')",
    tags: "SELECT DISTINCT message_key, tag.key AS key, tag.value AS value\nFROM @P@raw_events CROSS JOIN UNNEST(tags) AS tag (key, value)",
    column_type: |column_type| match column_type {
        ColumnType::Text => "varchar",
        ColumnType::Time => "timestamp(3)",
        ColumnType::Int32 => "integer",
        ColumnType::Int64 | ColumnType::Hash => "bigint",
        ColumnType::Bool => "boolean",
        ColumnType::Tags => "array(row(key varchar, value varchar))",
        ColumnType::Bytes => "varbinary",
    },
    ..DUCKDB
};

const ATHENA: Engine = Engine {
    name: "Athena (engine version 3)",
    notes: "-- Athena runs one statement at a time. `deploy/athena.yaml` is a template with the same table.\n",
    raw_events: "\
CREATE EXTERNAL TABLE IF NOT EXISTS @P@raw_events (
  @TYPED_COLUMNS@
)
PARTITIONED BY (`date` string)
STORED AS PARQUET
LOCATION '@PATH@/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.date.type' = 'date', 'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2020-01-01,NOW+1DAY',
  'projection.date.interval' = '1', 'projection.date.interval.unit' = 'DAYS',
  'storage.location.template' = '@PATH@/date=${date}/'
);
-- Compact a store with segments of format version 1 first: their keys are unsigned.",
    column_type: |column_type| match column_type {
        ColumnType::Text => "string",
        ColumnType::Time => "timestamp",
        ColumnType::Int32 => "int",
        ColumnType::Int64 | ColumnType::Hash => "bigint",
        ColumnType::Bool => "boolean",
        ColumnType::Tags => "array<struct<key:string,value:string>>",
        ColumnType::Bytes => "binary",
    },
    ..TRINO
};

const BIGQUERY: Engine = Engine {
    name: "BigQuery",
    is_tested: false,
    notes: "-- Run it with a default dataset. BigQuery reads gs://; for s3://, use BigLake with a connection, or copy the files.\n",
    setup: "",
    raw_events: "CREATE OR REPLACE EXTERNAL TABLE @P@raw_events\nOPTIONS (format = 'PARQUET', enable_list_inference = true, uris = ['@PATH@/*.parquet']);",
    event_ms: "UNIX_MILLIS(event_at)",
    now_ms: "UNIX_MILLIS(CURRENT_TIMESTAMP())",
    hour: "TIMESTAMP_TRUNC(event_at, HOUR)",
    day: "TIMESTAMP_TRUNC(event_at, DAY)",
    timestamp: "TIMESTAMP_MILLIS(to_ms)",
    text: "STRING",
    double: "FLOAT64",
    tags: "SELECT DISTINCT message_key, tag.key AS key, tag.value AS value\nFROM @P@raw_events, UNNEST(tags) AS tag",
    quote: "`",
    escapes: BACKSLASHES,
    ..DUCKDB
};
