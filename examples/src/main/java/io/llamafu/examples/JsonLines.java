package io.llamafu.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.src.reader.SimpleStreamFormat;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.core.fs.FSDataInputStream;

import javax.annotation.Nullable;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Files with one JSON object per line, as a format for Flink's FileSource, or read whole. An error names a line with
 * missing or unknown fields, or without JSON.
 *
 * @param <T> a Java record with the fields of a line
 */
public final class JsonLines<T> extends SimpleStreamFormat<T> {
    private static final long serialVersionUID = 1L;

    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
            .build();

    private final Class<T> type;

    private JsonLines(Class<T> type) {
        this.type = type;
    }

    public static <T> JsonLines<T> of(Class<T> type) {
        return new JsonLines<>(type);
    }

    /** Writes one line, without the line feed. */
    public static String write(Object value) {
        try {
            return MAPPER.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("Not writable as JSON: " + value, e);
        }
    }

    /**
     * Reads one object.
     *
     * @throws IOException if the text is not such an object; the message quotes it
     */
    public T read(byte[] text) throws IOException {
        try {
            return MAPPER.readValue(text, type);
        } catch (JsonProcessingException e) {
            throw new IOException(
                    "No %s: %s (%s)"
                            .formatted(
                                    type.getSimpleName(),
                                    new String(text, StandardCharsets.UTF_8),
                                    e.getOriginalMessage()),
                    e);
        }
    }

    public List<T> readAll(Path file) throws IOException {
        List<T> values = new ArrayList<>();
        try (LineReader<T> reader = new LineReader<>(type, Files.newInputStream(file))) {
            for (T value = reader.read(); value != null; value = reader.read()) {
                values.add(value);
            }
        } catch (MalformedLineException e) {
            throw new IOException(file + ": " + e.getMessage(), e);
        }
        return values;
    }

    @Override
    public StreamFormat.Reader<T> createReader(Configuration configuration, FSDataInputStream stream) {
        return new LineReader<>(type, stream);
    }

    @Override
    public TypeInformation<T> getProducedType() {
        return TypeInformation.of(type);
    }

    static final class MalformedLineException extends IOException {
        private static final long serialVersionUID = 1L;

        MalformedLineException(long line, Class<?> type, JsonProcessingException cause) {
            super("line %d is no %s: %s".formatted(line, type.getSimpleName(), cause.getOriginalMessage()), cause);
        }
    }

    private static final class LineReader<T> implements StreamFormat.Reader<T> {
        private final Class<T> type;
        private final BufferedReader lines;
        private long lineNumber;

        private LineReader(Class<T> type, InputStream stream) {
            this.type = type;
            this.lines = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8));
        }

        /** Null at the end. */
        @Override
        @Nullable
        public T read() throws IOException {
            String line = lines.readLine();
            if (line == null) {
                return null;
            }
            lineNumber++;
            try {
                return MAPPER.readValue(line, type);
            } catch (JsonProcessingException e) {
                throw new MalformedLineException(lineNumber, type, e);
            }
        }

        @Override
        public void close() throws IOException {
            lines.close();
        }
    }
}
