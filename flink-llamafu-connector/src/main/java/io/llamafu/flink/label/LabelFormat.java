package io.llamafu.flink.label;

import org.apache.flink.core.fs.FSDataOutputStream;

import java.io.IOException;
import java.util.List;
import java.util.Locale;

/** The format of the input and the output. */
enum LabelFormat {
    JSONL(".jsonl", ".ndjson .json"),
    CSV(".csv", ".tsv"),
    AVRO(".avro", ""),
    PARQUET(".parquet", "");

    private final String suffix;
    private final String otherSuffixes;

    /** @param otherSuffixes of the input, separated by blanks */
    LabelFormat(String suffix, String otherSuffixes) {
        this.suffix = suffix;
        this.otherSuffixes = otherSuffixes;
    }

    /** How the names of output files end. */
    String suffix() {
        return suffix;
    }

    boolean isNamedLike(String fileName) {
        String name = fileName.toLowerCase(Locale.ROOT);
        int dot = name.lastIndexOf('.');
        return dot >= 0
                && (name.endsWith(suffix)
                        || List.of(otherSuffixes.split(" ", -1)).contains(name.substring(dot)));
    }

    /**
     * Opens a file.
     *
     * @param delimiter of CSV
     * @param from where to begin; {@link Position#START}, or a {@link RowReader#position()} of the same file
     */
    RowReader read(InputFile file, char delimiter, Position from) throws IOException {
        return switch (this) {
            case JSONL -> new JsonLinesReader(file, from);
            case CSV -> new CsvReader(file, delimiter, from);
            case AVRO -> new AvroReader(file, from);
            case PARQUET -> ParquetRows.read(file, from);
        };
    }

    /**
     * Begins a file.
     *
     * @param schema of the rows, as {@link RowReader#schema()} gave it
     */
    RowWriter write(FSDataOutputStream out, String schema, char delimiter, String prefix) throws IOException {
        return switch (this) {
            case JSONL -> new JsonLinesWriter(out, prefix);
            case CSV -> new CsvWriter(out, schema, delimiter, prefix);
            case AVRO -> new AvroWriter(out, schema, prefix);
            case PARQUET -> ParquetRows.write(out, schema, prefix);
        };
    }

    static LabelFormat parse(String written) {
        for (LabelFormat format : values()) {
            if (format.name().equalsIgnoreCase(written)) {
                return format;
            }
        }
        throw LabelArguments.invalid("--format is '%s', but must be jsonl, csv, avro or parquet.".formatted(written));
    }
}
