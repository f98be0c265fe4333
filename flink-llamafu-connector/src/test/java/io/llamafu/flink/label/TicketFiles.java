package io.llamafu.flink.label;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import org.apache.avro.Schema;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.parquet.avro.AvroParquetReader;
import org.apache.parquet.avro.AvroParquetWriter;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.LocalOutputFile;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Files of tickets in every format, written and read without the classes under test, as far as there are others. */
final class TicketFiles {
    /** Not the job's own, which is relocated in the jar that integration tests run against. */
    static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .build();

    private static final Schema SCHEMA = new Schema.Parser()
            .parse(
                    """
                    {"type": "record", "name": "Ticket", "namespace": "test", "fields": [
                      {"name": "id", "type": "int"},
                      {"name": "text", "type": ["null", "string"], "default": null},
                      {"name": "wanted", "type": "string"},
                      {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}]}""");

    private TicketFiles() {}

    record Ticket(int id, String text, String wanted) {}

    static void write(LabelFormat format, Path file, List<Ticket> tickets) throws IOException {
        switch (format) {
            case JSONL ->
                Files.write(
                        file,
                        tickets.stream()
                                .map(ticket -> "{\"id\": %d, \"text\": %s, \"wanted\": \"%s\", \"tags\": [\"x\"]}"
                                        .formatted(
                                                ticket.id(), new String(json(ticket.text()), UTF_8), ticket.wanted()))
                                .toList());
            case CSV ->
                Files.writeString(
                        file,
                        "id,text,wanted,tags\n"
                                + String.join(
                                        "\n",
                                        tickets.stream()
                                                .map(ticket -> "%d,\"%s\",%s,x"
                                                        .formatted(
                                                                ticket.id(),
                                                                ticket.text().replace("\"", "\"\""),
                                                                ticket.wanted()))
                                                .toList()));
            case AVRO -> {
                try (DataFileWriter<GenericRecord> out = new DataFileWriter<>(new GenericDatumWriter<>(SCHEMA))) {
                    out.setSyncInterval(64);
                    out.create(SCHEMA, file.toFile());
                    for (Ticket ticket : tickets) {
                        out.append(avro(ticket));
                    }
                }
            }
            case PARQUET -> {
                try (ParquetWriter<GenericRecord> out = AvroParquetWriter.<GenericRecord>builder(
                                new LocalOutputFile(file))
                        .withSchema(SCHEMA)
                        .build()) {
                    for (Ticket ticket : tickets) {
                        out.write(avro(ticket));
                    }
                }
            }
        }
    }

    private static GenericRecord avro(Ticket ticket) {
        GenericRecord avro = new GenericData.Record(SCHEMA);
        avro.put("id", ticket.id());
        avro.put("text", ticket.text());
        avro.put("wanted", ticket.wanted());
        avro.put("tags", List.of("x"));
        return avro;
    }

    static List<Map<String, Object>> read(LabelFormat format, Path file) throws IOException {
        List<Map<String, Object>> rows = new ArrayList<>();
        switch (format) {
            case JSONL -> {
                for (String line : Files.readAllLines(file)) {
                    Map<String, Object> row = new LinkedHashMap<>();
                    JSON.readTree(line)
                            .properties()
                            .forEach(field -> row.put(
                                    field.getKey(),
                                    field.getValue().isNull()
                                            ? null
                                            : field.getValue().asText()));
                    rows.add(row);
                }
            }
            case CSV -> {
                InputFile csv = new InputFile(file.toUri().toString(), "out");
                try (RowReader reader = new CsvReader(csv, ',', Position.START)) {
                    for (Row row = reader.next(); row != null; row = reader.next()) {
                        Map<String, Object> fields = new LinkedHashMap<>();
                        for (String column : reader.columns()) {
                            fields.put(column, row.text(column));
                        }
                        rows.add(fields);
                    }
                }
            }
            case AVRO -> {
                try (DataFileReader<GenericRecord> in =
                        new DataFileReader<>(file.toFile(), new GenericDatumReader<>())) {
                    in.forEach(row -> rows.add(fields(row)));
                }
            }
            case PARQUET -> {
                try (ParquetReader<GenericRecord> in = AvroParquetReader.<GenericRecord>builder(
                                new LocalInputFile(file))
                        .build()) {
                    for (GenericRecord row = in.read(); row != null; row = in.read()) {
                        rows.add(fields(row));
                    }
                }
            }
        }
        return rows;
    }

    private static Map<String, Object> fields(GenericRecord row) {
        Map<String, Object> fields = new LinkedHashMap<>();
        row.getSchema().getFields().forEach(field -> {
            Object value = row.get(field.pos());
            fields.put(field.name(), value instanceof CharSequence ? value.toString() : value);
        });
        return fields;
    }

    static byte[] json(Object value) {
        try {
            return JSON.writeValueAsBytes(value);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }
}
