package io.llamafu.flink.label;

import org.apache.avro.JsonProperties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericEnumSymbol;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

import javax.annotation.Nullable;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** What the formats with Avro records have in common. */
final class AvroColumns {
    private AvroColumns() {}

    /** The schema of the output: the columns of the input, then ours, each of which may be null. */
    static Schema extended(Schema input, String prefix) {
        List<Schema.Field> fields = new ArrayList<>();
        input.getFields().forEach(field -> fields.add(new Schema.Field(field, field.schema())));
        Answer.COLUMNS.forEach(column -> fields.add(new Schema.Field(
                prefix + column.name(),
                Schema.createUnion(Schema.create(Schema.Type.NULL), Schema.create(type(column.type()))),
                null,
                JsonProperties.NULL_VALUE)));
        Schema extended = Schema.createRecord(input.getName(), input.getDoc(), input.getNamespace(), false, fields);
        input.getObjectProps().forEach(extended::addProp);
        return extended;
    }

    private static Schema.Type type(Class<?> type) {
        if (type == Double.class) {
            return Schema.Type.DOUBLE;
        }
        return type == Integer.class ? Schema.Type.INT : Schema.Type.STRING;
    }

    static GenericRecord extended(Schema schema, IndexedRecord row, Answer answer) {
        GenericRecord extended = new GenericData.Record(schema);
        int columns = row.getSchema().getFields().size();
        for (int i = 0; i < columns; i++) {
            extended.put(i, row.get(i));
        }
        for (int i = 0; i < Answer.COLUMNS.size(); i++) {
            extended.put(columns + i, Answer.COLUMNS.get(i).value().apply(answer));
        }
        return extended;
    }

    static List<String> names(Schema schema) {
        return schema.getFields().stream().map(Schema.Field::name).toList();
    }

    static Row row(InputFile file, long number, GenericRecord record) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(content, null);
        new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
        encoder.flush();
        return new Row(
                "%s, row %d".formatted(file.path().getPath(), number),
                content.toByteArray(),
                record,
                field -> value(record, field),
                null);
    }

    @Nullable
    private static Object value(GenericRecord record, String field) {
        int dot = field.indexOf('.');
        if (!record.hasField(field)) {
            boolean path = dot > 0 && record.hasField(field.substring(0, dot));
            return path && record.get(field.substring(0, dot)) instanceof GenericRecord inner
                    ? value(inner, field.substring(dot + 1))
                    : Row.MISSING;
        }
        Object value = record.get(field);
        return value instanceof CharSequence || value instanceof GenericEnumSymbol ? value.toString() : value;
    }
}
