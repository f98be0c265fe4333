package io.llamafu.grammar;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonPointer;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.net.URLDecoder;

import static java.nio.charset.StandardCharsets.UTF_8;

/** A whole schema, in which references are resolved. */
record SchemaDocument(Schema root) {
    private static final int MAX_NESTING = 100;

    private static final ObjectReader READER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(MAX_NESTING)
                            .build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .build()
            .reader();

    static SchemaDocument parse(String text) {
        if (text.length() > JsonSchemaGrammar.MAX_CHARACTERS) {
            throw invalid("The JSON schema has %d characters, but may have %d; shorten it."
                    .formatted(text.length(), JsonSchemaGrammar.MAX_CHARACTERS));
        }
        try {
            JsonNode root = READER.readTree(text);
            if (root.isMissingNode()) {
                throw invalid("The JSON schema is empty; give a schema such as {\"type\": \"integer\"}.");
            }
            return new SchemaDocument(new Schema(root, ""));
        } catch (JsonProcessingException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_SCHEMA, "The JSON schema is no JSON: %s; correct it.".formatted(describe(e)), e);
        }
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_SCHEMA, message);
    }

    private static String describe(JsonProcessingException e) {
        return e.getLocation() == null
                ? e.getOriginalMessage()
                : "%s (line %d, column %d)"
                        .formatted(
                                e.getOriginalMessage(),
                                e.getLocation().getLineNr(),
                                e.getLocation().getColumnNr());
    }

    /** The schema that {@code $ref} of another one names. */
    Schema resolve(Schema reference) {
        String target = reference.text("$ref");
        if (!target.equals("#") && !target.startsWith("#/")) {
            throw reference.invalid(
                    "$ref is '%s', but only places of the same schema can be named, such as '#/$defs/item'"
                            .formatted(target));
        }
        try {
            String pointer = URLDecoder.decode(target.substring(1).replace("+", "%2B"), UTF_8);
            JsonNode found = root.json().at(JsonPointer.compile(pointer));
            if (found.isMissingNode()) {
                throw reference.invalid("$ref is '%s', but the schema has no such place".formatted(target));
            }
            return new Schema(found, pointer);
        } catch (IllegalArgumentException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_SCHEMA,
                    "The JSON schema at '%s': $ref is '%s', which is no JSON pointer; correct it."
                            .formatted(reference.place(), target),
                    e);
        }
    }
}
