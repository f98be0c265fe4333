package io.llamafu.peft;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.LittleEndianInput;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Parses untrusted JSON: size and depth are limited, and duplicate keys are an error. */
final class Json {
    /** A configuration has a few kilobytes, or a hundred with a pattern for each module. */
    static final int MAX_FILE_BYTES = 512 << 10;

    static final int MAX_NAME_LENGTH = 1024;
    private static final int MAX_DEPTH = 32;
    private static final int MAX_BRIEF_LENGTH = 64;
    private static final int MAX_NUMBER_LENGTH = 64;

    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            // Names in untrusted files would stay in a global table.
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(MAX_DEPTH)
                    .maxNameLength(MAX_NAME_LENGTH)
                    .maxNumberLength(MAX_NUMBER_LENGTH)
                    .maxStringLength(MAX_FILE_BYTES)
                    .build())
            .build();

    private static final JsonMapper MAPPER = JsonMapper.builder(FACTORY)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private Json() {}

    /**
     * Reads a file that contains one JSON object.
     *
     * @throws LlamafuException with the codes of the kind if there is no such file, or it is too long or malformed
     */
    static JsonNode readObject(GgufKind kind, Path path) {
        byte[] bytes = readBytes(kind, path);
        try {
            JsonNode root = MAPPER.readTree(strictUtf8(bytes));
            if (!root.isObject()) {
                throw kind.invalid(path, "is no JSON object.");
            }
            return root;
        } catch (IOException e) {
            throw kind.invalid(path, "is malformed JSON: %s.".formatted(problem(e)), e);
        }
    }

    /**
     * A parser of one value. Malformed UTF-8 is an error instead of being replaced, which could make two names equal.
     */
    static JsonParser parser(byte[] bytes) throws IOException {
        return FACTORY.createParser(strictUtf8(bytes));
    }

    private static Reader strictUtf8(byte[] bytes) {
        return new InputStreamReader(new ByteArrayInputStream(bytes), StandardCharsets.UTF_8.newDecoder());
    }

    /** The parser's message without the location, which would quote the file. */
    static String problem(IOException e) {
        if (e instanceof JsonProcessingException malformed) {
            return malformed.getOriginalMessage();
        }
        return e instanceof CharacterCodingException ? "it is not UTF-8" : e.getMessage();
    }

    /** The beginning of a value, for messages. */
    static String brief(JsonNode value) {
        String text = value.toString();
        return text.length() > MAX_BRIEF_LENGTH ? text.substring(0, MAX_BRIEF_LENGTH) + "..." : text;
    }

    private static byte[] readBytes(GgufKind kind, Path path) {
        try (LittleEndianInput input = LittleEndianInput.open(kind, path)) {
            if (input.size() > MAX_FILE_BYTES) {
                throw input.invalid("has %d bytes, but at most %d are read; it is no configuration."
                        .formatted(input.size(), MAX_FILE_BYTES));
            }
            byte[] bytes = new byte[(int) input.size()];
            input.bytes(bytes, bytes.length, "the file");
            return bytes;
        }
    }
}
