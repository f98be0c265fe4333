package io.llamafu.flink.label;

import java.util.Arrays;
import java.util.Optional;

/** The options of the label job beside those of {@link io.llamafu.flink.LlamafuConfigOptions}. */
enum LabelOption {
    INPUT(
            "input",
            Arity.LIST,
            "FILE|DIR|URI...",
            "Files, folders with their subfolders, or URIs of any file system of Flink."),
    FORMAT("format", Arity.ONE, "FORMAT", "jsonl, csv, avro or parquet. Default: what the names of the files say."),
    TEXT_FIELD("text-field", Arity.ONE, "FIELD", "The field with the text, which replaces {text} in prompt-template."),
    TEMPLATE("template", Arity.ONE, "FILE", "Instead of text-field: a prompt with {FIELD} for each field it needs."),
    TASK(
            "task",
            Arity.ONE,
            "TASK",
            "complete, classify or extract. Default: classify with labels, extract with a schema."),
    LABELS_FILE("labels-file", Arity.ONE, "FILE", "The option labels, with one label a line."),
    SCHEMA("schema", Arity.ONE, "FILE", "The option json-schema."),
    STACK(
            "stack",
            Arity.ONE,
            "STACK",
            "The adapters that answer, such as medical:0.8+formal. Default: the base model."),
    STACK_FIELD(
            "stack-field",
            Arity.ONE,
            "FIELD",
            "A field with the stack of the row; without a value, routes or stack decide."),
    ROUTES(
            "routes",
            Arity.ONE,
            "FILE",
            "The stack of each key: lines of JSON with the fields key, stack and validFrom."),
    KEY_FIELD("key-field", Arity.ONE, "FIELD", "The field with the key of routes."),
    TIME_FIELD(
            "time-field",
            Arity.ONE,
            "FIELD",
            "The field with the time of the row, in milliseconds or as in ISO 8601: the route of that time answers."),
    OUTPUT("output", Arity.ONE, "DIR|URI", "The folder of the labelled files, of the ledger and of the report."),
    PREFIX("prefix", Arity.ONE, "PREFIX", "Begins the names of the added columns."),
    CSV_DELIMITER("csv-delimiter", Arity.ONE, "CHARACTER", "Default: a comma."),
    PART_ROWS(
            "part-rows",
            Arity.ONE,
            "N",
            "The most rows of an output file. An output keeps the number of its first run. Default: 10000."),
    PARALLELISM("parallelism", Arity.ONE, "N", "Subtasks. Default: that of Flink."),
    GOLD_FIELD("gold-field", Arity.ONE, "FIELD", "A field with the right answer, for the report."),
    EXPLAIN("explain", Arity.FLAG, "", "Says how many rows, tokens and how much time are left, and ends."),
    SCHEDULE("schedule", Arity.ONE, "CRON", "Runs again and again: five fields, or six with seconds."),
    RUNS("runs", Arity.ONE, "N", "Ends a schedule after this many runs."),
    REVIEW(
            "review",
            Arity.ONE,
            "N",
            "Writes N rows for people to review, from each label those of the lowest confidence."),
    GOLD("gold", Arity.ONE, "FILE", "Reviewed rows as Label Studio exports them: reports the accuracy, and ends."),
    CONFIG("config", Arity.ONE, "FILE", "A properties file with options; the command line overrides it."),
    HELP("help", Arity.FLAG, "", "Prints this.");

    enum Arity {
        FLAG,
        ONE,
        LIST
    }

    private final String key;
    private final Arity arity;
    private final String value;
    private final String description;

    LabelOption(String key, Arity arity, String value, String description) {
        this.key = key;
        this.arity = arity;
        this.value = value;
        this.description = description;
    }

    String key() {
        return key;
    }

    Arity arity() {
        return arity;
    }

    String usage() {
        return "  %-34s %s".formatted(("--" + key + " " + value).strip(), description);
    }

    static Optional<LabelOption> find(String key) {
        return Arrays.stream(values()).filter(option -> option.key.equals(key)).findFirst();
    }
}
