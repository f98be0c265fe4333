package io.llamafu.examples;

import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;

import java.io.IOException;

/**
 * The values of a topic as JSON.
 *
 * @param <T> a Java record with the fields of their JSON
 */
final class JsonValue<T> extends AbstractDeserializationSchema<T> {
    private static final long serialVersionUID = 1L;

    private final JsonLines<T> json;

    private JsonValue(Class<T> type) {
        super(type);
        this.json = JsonLines.of(type);
    }

    static <T> KafkaRecordDeserializationSchema<T> of(Class<T> type) {
        return KafkaRecordDeserializationSchema.valueOnly(new JsonValue<>(type));
    }

    @Override
    public T deserialize(byte[] value) throws IOException {
        return json.read(value);
    }
}
